"""The command line, `gateway-sms`: uses the client as any other program would.

Start with `main`, which gathers the commands; `app` makes and runs them. Only `__main__` imports
this folder.
"""
