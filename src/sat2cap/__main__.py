"""``python -m sat2cap``: the command line, for where the command itself is not on the path."""

from sat2cap.cli import main

if __name__ == "__main__":
    main()
