"""What a store tells, for people: reports, differences, balances and pictures of graphs."""
