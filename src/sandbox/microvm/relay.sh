#!/bin/sh
# One connection of the vsock, as standard input and output: what comes goes to the pipe $1, what the pipe $2 has goes out.
cat <>"$2" &
writer=$!
cat >"$1"
# The next connection's own reads the pipe from here on.
kill "$writer"
