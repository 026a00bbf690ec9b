"""What people see of a sweep: in the terminal, in a pipe and in TensorBoard."""
