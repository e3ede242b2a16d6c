"""TorchScript archives (``.pt``) to the intermediate representation. Reading parses and never executes."""
