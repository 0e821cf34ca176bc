"""The contract that every storage backend passes: a test class inherits it and says how to `open` a database."""

from __future__ import annotations

from .contract_clients import ClientContract, ClientSecretContract
from .contract_resources import ResourceContract, SigningKeyContract, TemplateContract
from .contract_revocations import ChangeLogContract, RevocationContract, StateContract


class StorageContract(
    ClientContract,
    ClientSecretContract,
    ResourceContract,
    TemplateContract,
    SigningKeyContract,
    RevocationContract,
    ChangeLogContract,
    StateContract,
):
    """Every guarantee of every Protocol in `core/ports.py`."""
