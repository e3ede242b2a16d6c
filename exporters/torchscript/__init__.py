"""The intermediate representation to TorchScript archives (``.pt``), as ``torch.jit.load`` reads them."""
