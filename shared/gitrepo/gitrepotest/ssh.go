package gitrepotest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os/exec"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

// SSH serves the repositories of a [Server] by SSH, through git-shell.
type SSH struct {
	// Addr is host:port.
	Addr string
	root string
	t    testing.TB
	wait sync.WaitGroup
}

// ServeSSH begins to serve with these host keys until the test ends; only the
// owner of user may sign in, as git.
func (s *Server) ServeSSH(user ssh.PublicKey, hostKeys ...ssh.Signer) *SSH {
	s.t.Helper()
	config := &ssh.ServerConfig{PublicKeyCallback: func(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if c.User() != "git" || !bytes.Equal(key.Marshal(), user.Marshal()) {
			return nil, errors.New("nobody knows this key")
		}
		return &ssh.Permissions{}, nil
	}}
	for _, k := range hostKeys {
		config.AddHostKey(k)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	server := &SSH{Addr: l.Addr().String(), root: s.Root, t: s.t}
	server.wait.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			server.wait.Go(func() { server.serve(conn, config) })
		}
	})
	s.t.Cleanup(func() { _ = l.Close(); server.wait.Wait() })
	return server
}

func (s *SSH) serve(conn net.Conn, config *ssh.ServerConfig) {
	defer conn.Close()
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for c := range channels {
		if c.ChannelType() != "session" {
			_ = c.Reject(ssh.UnknownChannelType, "only sessions")
			continue
		}
		channel, requests, err := c.Accept()
		if err != nil {
			return
		}
		s.wait.Go(func() { s.session(channel, requests) })
	}
}

// session runs the one command that a session asks for.
func (s *SSH) session(channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close()
	for r := range requests {
		var exe struct{ Command string }
		if r.Type != "exec" || ssh.Unmarshal(r.Payload, &exe) != nil {
			_ = r.Reply(false, nil)
			continue
		}
		_ = r.Reply(true, nil)
		status := s.shell(channel, exe.Command)
		_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
		return
	}
}

func (s *SSH) shell(channel ssh.Channel, command string) uint32 {
	cmd := exec.Command("git", "shell", "-c", command)
	cmd.Dir = s.root
	cmd.Stdout, cmd.Stderr = channel, channel.Stderr()
	in, err := cmd.StdinPipe()
	if err != nil || cmd.Start() != nil {
		return 127
	}
	go func() { // ends with the channel
		_, _ = io.Copy(in, channel)
		_ = in.Close()
	}()
	if cmd.Wait() != nil {
		return 1
	}
	return 0
}
