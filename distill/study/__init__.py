"""Studies: arms x label budgets x paired seeds, and whether one arm beats another."""
