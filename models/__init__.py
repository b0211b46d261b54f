"""What is true: the words, rules and shapes of Huikuan."""
