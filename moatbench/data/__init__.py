"""Tables, what an API accepts of them, and their three shares."""

from moatbench.data.encoding import Encoding, Units
from moatbench.data.shares import Dataset
from moatbench.data.table import Column, Table

__all__ = ["Column", "Dataset", "Encoding", "Table", "Units"]
