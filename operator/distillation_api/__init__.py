"""What users and stage programs write and read: the models of spec, status and stage contract."""
