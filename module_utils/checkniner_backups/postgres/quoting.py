"""Names and values in statements that somebody reads and then runs: out of an archive, they may be anything."""

from __future__ import annotations


def identifier(name: str) -> str:
    """Given a name, return it for a statement, quoted; what cannot be printed is escaped as PostgreSQL reads it."""
    quoted = name.replace('"', '""')
    if name.isprintable():
        return f'"{quoted}"'
    doubled = quoted.replace("\\", "\\\\")
    return 'U&"' + "".join(_escaped(each, "\\", "\\+", 6) for each in doubled) + '"'


def literal(value: str) -> str:
    """Given a text, return it as a constant for a statement; what cannot be printed is escaped, as in `identifier`."""
    quoted = value.replace("'", "''")
    if value.isprintable() and "\\" not in value:
        return f"'{quoted}'"
    doubled = quoted.replace("\\", "\\\\")
    return "E'" + "".join(_escaped(each, "\\u", "\\U", 8) for each in doubled) + "'"


def _escaped(character: str, short: str, long: str, digits: int) -> str:
    """Given a character, and how its number is introduced if it has four digits or more, return what is printed."""
    if character.isprintable():
        return character
    number = ord(character)
    return f"{short}{number:04x}" if number < 0x10000 else f"{long}{number:0{digits}x}"
