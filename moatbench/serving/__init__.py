"""The API over HTTP: a served defense, its accounts and what it remembers."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"app": ["application"], "middleware": ["protect"]}
)
