"""The API over HTTP: a served defense, its accounts and what it remembers."""

import lazy_loader

FACE = {
    "app": ["application"],
    "forward": ["Forward"],
    "kept.counts": ["Counts"],
    "middleware": ["protect"],
}
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs=FACE)
