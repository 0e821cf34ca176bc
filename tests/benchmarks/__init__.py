"""What `make bench` runs: our server and its peers, side by side, alternating in one run.

From the top down:

    __main__      the command line: sections in, one report out
    sections/     one question each, from tokens a second to a check by the library
    bench         what every section is given
    own_server    starts our server and fills it with clients
    protected     a resource on it, and what a verifier needs
    programs/     services that use the library, measured from inside
    talk          how the bench speaks with them
    peer_servers  installs and starts the servers under peers/
    ceiling_app   the least a Python server can do: bare uvicorn, and one signature more
    report        the tables, as text, Markdown and JSON
    rounds        alternating measurements
    load          wrk, driven by load.lua
    server        a running server: its requests, its readiness
    processes     starting, pinning to cores and stopping processes; their memory and CPU time
    figures       samples, medians and what they say about a target
    machine       the description of the machine
    options       the command line's values
    errors        the one error of this package
    progress      lines on standard error

It needs Linux and wrk; the peers need Node.js, forward-auth needs nginx. Nothing here asserts a speed.
"""
