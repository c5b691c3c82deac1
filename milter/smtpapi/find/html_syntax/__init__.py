"""The syntax of HTML: tags, raw text, entities, as spans of bytes."""
