"""What other systems call, or are told: each file belongs to one of them."""
