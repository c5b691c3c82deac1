"""What both programs share: what a link is, what an event is, where events go."""
