"""What is generated from the models: CRD, editors' schema, API reference, the page of reasons."""
