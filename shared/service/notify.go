package service

import (
	"net"
	"os"
)

// notify tells systemd of a state, where it started this process with
// Type=notify (sd_notify(3)). Where it can't be told there is nothing to do:
// systemd says so itself, and starts the service again.
func notify(state string) {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return
	}
	conn, err := net.Dial("unixgram", name) // a name in the abstract space begins with @ for Go, too
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = conn.Write([]byte(state))
}
