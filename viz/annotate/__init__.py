"""What is computed about a graph: costs, Jacobians, paths, diagnoses; each marks the view."""
