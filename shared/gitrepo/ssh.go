package gitrepo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"golang.org/x/crypto/ssh"
)

// SSHKey is what a host wants to see for ssh:// addresses, and how we know
// that it is the host.
type SSHKey struct {
	// Key is the private key, in OpenSSH's or PEM form.
	Key []byte
	// Passphrase decrypts the key; empty for a plain one.
	Passphrase []byte
	// KnownHosts has the host's keys as in a known_hosts file. No host is
	// trusted without.
	KnownHosts []byte
}

// sshHost reaches a repository by SSH, with a connection for each exchange.
type sshHost struct {
	addr, path string
	config     *ssh.ClientConfig
}

func newSSHHost(a address, o Options) (*sshHost, error) {
	fail := func(err error) (*sshHost, error) {
		return nil, fmt.Errorf("open mirror of %s: %w", o.URL, err)
	}
	switch {
	case o.SSH == nil:
		return fail(errors.New("an ssh:// address needs credentials with an SSH key and known hosts"))
	case o.Password != "" || o.Bearer != "" || o.App != nil:
		return fail(errors.New("a password, token or GitHub App is for https:// addresses; give an SSH key"))
	case o.Proxy != "" || len(o.CA) > 0:
		return fail(errors.New("proxy and ca are for https:// addresses"))
	}
	key, err := parseKey(o.SSH.Key, o.SSH.Passphrase)
	if err != nil {
		return fail(fmt.Errorf("read SSH key: %w", err))
	}
	if a.port == "" {
		a.port = "22"
	}
	if a.user == "" {
		a.user = "git"
	}
	addr := net.JoinHostPort(a.host, a.port)
	known, err := newKnownHosts(o.SSH.KnownHosts, filepath.Dir(o.Dir), addr)
	if err != nil {
		return fail(err)
	}
	return &sshHost{addr: addr, path: a.path, config: &ssh.ClientConfig{
		User: a.user, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)},
		HostKeyCallback: known.verify, HostKeyAlgorithms: known.algorithms,
		ClientVersion: "SSH-2.0-slipway",
	}}, nil
}

func (*sshHost) refused() {}

func (h *sshHost) fetchSession(ctx context.Context) (fetchSession, error) {
	return h.start(ctx, transport.UploadPackServiceName)
}

func (h *sshHost) pushSession(ctx context.Context) (pushSession, error) {
	return h.start(ctx, transport.ReceivePackServiceName)
}

// aheadSession is none: over SSH the host speaks first.
func (h *sshHost) aheadSession(context.Context) (fetchSession, error) { return nil, nil }

// start connects and starts Git's command at the host. The connection ends
// with ctx.
func (h *sshHost) start(ctx context.Context, command string) (*sshSession, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", h.addr)
	if err != nil {
		return nil, err
	}
	s := &sshSession{}
	s.stop = context.AfterFunc(ctx, func() { _ = conn.Close() })
	c, channels, requests, err := ssh.NewClientConn(conn, h.addr, h.config)
	if err != nil {
		s.stop()
		_ = conn.Close()
		return nil, handshakeError(ctx, h.addr, err)
	}
	s.client = ssh.NewClient(c, channels, requests)
	if err := s.run(command + " " + quote(h.path)); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("start %s: %w", command, err)
	}
	return s, nil
}

func handshakeError(ctx context.Context, addr string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var none *ssh.AlgorithmNegotiationError
	switch {
	case errors.As(err, &none) && strings.Contains(err.Error(), "host key"):
		return fmt.Errorf("%w: %s has no key of a kind that the known hosts have for it; %s", ErrHostKey, addr, howToKnow(addr))
	case strings.Contains(err.Error(), "unable to authenticate"): // no type tells it
		return fmt.Errorf("%w: %s takes none of our SSH keys for this user", ErrUnauthorized, addr)
	}
	return err
}

// quote makes one word of p for the host's shell, as Git does.
func quote(p string) string {
	return "'" + strings.NewReplacer("'", `'\''`, "!", `'\!'`).Replace(p) + "'"
}

// sshSession is one command at the host.
type sshSession struct {
	client *ssh.Client
	stop   func() bool
	s      *ssh.Session
	in     io.WriteCloser
	out    io.Reader
	words  words
}

func (s *sshSession) run(command string) (err error) {
	if s.s, err = s.client.NewSession(); err != nil {
		return err
	}
	if s.in, err = s.s.StdinPipe(); err != nil {
		return err
	}
	if s.out, err = s.s.StdoutPipe(); err != nil {
		return err
	}
	s.s.Stderr = &s.words
	return s.s.Start(command)
}

// Close ends the command and the connection.
func (s *sshSession) Close() error {
	s.stop()
	return s.client.Close()
}

// failed ends the command and adds what the host said to people.
func (s *sshSession) failed(ctx context.Context, err error) error {
	_ = s.in.Close()
	_ = s.s.Wait() // so that all that the host says is there
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if said := s.words.String(); said != "" {
		return fmt.Errorf("the host says: %s (%w)", said, err)
	}
	return err
}

// AdvertisedReferencesContext reads the host's branches.
func (s *sshSession) AdvertisedReferencesContext(ctx context.Context) (*packp.AdvRefs, error) {
	adv := packp.NewAdvRefs()
	err := adv.Decode(s.out)
	if errors.Is(err, packp.ErrEmptyAdvRefs) || (err == nil && adv.IsEmpty()) {
		return nil, transport.ErrEmptyRemoteRepository
	}
	if err != nil {
		return nil, s.failed(ctx, err)
	}
	transport.FilterUnsupportedCapabilities(adv.Capabilities)
	return adv, nil
}

// UploadPack asks for objects, in one breath as over HTTP.
func (s *sshSession) UploadPack(ctx context.Context, req *packp.UploadPackRequest) (*packp.UploadPackResponse, error) {
	if err := s.ask(req); err != nil {
		return nil, s.failed(ctx, err)
	}
	res := packp.NewUploadPackResponse(req)
	if err := res.Decode(io.NopCloser(s.out)); err != nil {
		return nil, s.failed(ctx, err)
	}
	return res, nil
}

func (s *sshSession) ask(req *packp.UploadPackRequest) error {
	if err := req.UploadRequest.Encode(s.in); err != nil {
		return err
	}
	if err := req.UploadHaves.Encode(s.in, false); err != nil {
		return err
	}
	if err := pktline.NewEncoder(s.in).EncodeString("done\n"); err != nil {
		return err
	}
	return s.in.Close()
}

// ReceivePack sends a pack and reads the host's report.
func (s *sshSession) ReceivePack(ctx context.Context, req *packp.ReferenceUpdateRequest) (*packp.ReportStatus, error) {
	// It comes without being asked for, and may be of an empty repository.
	if err := packp.NewAdvRefs().Decode(s.out); err != nil && !errors.Is(err, packp.ErrEmptyAdvRefs) {
		return nil, s.failed(ctx, err)
	}
	if err := req.Encode(s.in); err != nil {
		return nil, s.failed(ctx, err)
	}
	if err := s.in.Close(); err != nil {
		return nil, s.failed(ctx, err)
	}
	d := sideband.NewDemuxer(sideband.Sideband64k, s.out)
	d.Progress = req.Progress
	report := packp.NewReportStatus()
	if err := report.Decode(d); err != nil {
		return nil, s.failed(ctx, err)
	}
	return report, report.Error()
}

// words keeps the beginning of what the host says to people.
type words struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// maxWords bounds what is kept of them.
const maxWords = 4 << 10

// Write takes all and keeps what fits.
func (w *words) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf.Write(p[:min(len(p), maxWords-w.buf.Len())])
	return len(p), nil
}

// String gives them in one line.
func (w *words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(strings.Fields(w.buf.String()), " ")
}

// writeTemp writes data to a file of its own in dir.
func writeTemp(dir string, data []byte) (string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	f, err := os.CreateTemp(dir, "known-hosts-")
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return f.Name(), err
}
