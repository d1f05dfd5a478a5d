package slipway_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/shared/bus/busserver"
	"github.com/slipway-cd/slipway/shared/bus/bustest"
	"github.com/slipway-cd/slipway/shared/service/servicetest"
)

// change replaces a part of the config, which must be there.
func (m *machine) change(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(m.config)
	if err != nil || !strings.Contains(string(text), from) {
		t.Fatalf("the config has no %q: %v", from, err)
	}
	servicetest.Write(t, m.config, strings.Replace(string(text), from, to, 1))
}

// refuses runs `slipway up`, which must end by itself with exit 2 and the words.
func (m *machine) refuses(t *testing.T, words ...string) {
	t.Helper()
	code, says := m.run(t, "up", "--config", m.config)
	if code != 2 || !contains(says, words...) {
		t.Errorf("exit %d: %s\nwant %q", code, says, words)
	}
}

func TestAPortInUseIsTold(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // after the parallel parts
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for field, old := range map[string]func(*machine) string{
		"listen.hooks":        func(m *machine) string { return m.hooks },
		"listen.api":          func(*machine) string { return "127.0.0.1:0" },
		"listen.metrics":      func(m *machine) string { return m.metrics },
		"bus.embedded.listen": func(m *machine) string { return m.nats },
	} {
		t.Run(field, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, awayRepository)
			m.change(t, old(m), "127.0.0.1:"+port)
			m.refuses(t, field+": port "+port+" is in use by another process", "ss -ltnp")
		})
	}
	t.Run("an address that isn't ours", func(t *testing.T) {
		t.Parallel()
		m := newMachine(t, awayRepository)
		m.change(t, m.hooks, "192.0.2.1:8080")
		m.refuses(t, "listen.hooks: this machine has no such address")
	})
}

// nobody is a user without rights: root may write anywhere.
const nobody = 65534

func TestADataFolderThatCannotBeWrittenToIsTold(t *testing.T) {
	t.Parallel()
	m := newMachine(t, awayRepository)
	servicetest.Write(t, m.config, strings.ReplaceAll(mustRead(t, m.config), "{file: "+m.dir+"/secret}", "{env: HOOK_SECRET}"))
	m.env = []string{"HOOK_SECRET=secret"}
	if os.Geteuid() == 0 {
		m.attr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	for _, f := range []string{filepath.Dir(m.dir), m.dir, m.config, filepath.Join(m.dir, "kubeconfig")} {
		if err := os.Chmod(f, 0o555); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = errors.Join(os.Chmod(filepath.Dir(m.dir), 0o755), os.Chmod(m.dir, 0o755)) })
	// The test's own binary, which is slipway here, lies in a folder of root's.
	m.program = readable(t)
	m.refuses(t, "the data folder "+m.data+" can't be written to", "permission denied", "give it to the user")
	if os.Geteuid() != 0 {
		return
	}
	t.Run("read-only disk", func(t *testing.T) {
		m := newMachine(t, awayRepository)
		mount(t, m.data, "size=1m,ro")
		m.refuses(t, "the data folder "+m.data+" can't be written to", "read-only file system", "mount it")
	})
}

func TestADataFolderIsNotSharedByTwo(t *testing.T) {
	t.Parallel()
	m := newMachine(t, awayRepository)
	m.up(t)
	m.refuses(t, "another process uses this data folder", m.data)
	if !strings.HasPrefix(m.ask(t, "/readyz"), "200 ok") {
		t.Error("the first was disturbed")
	}
}

// TestAFullDiskLosesNothing fills the disk until webhooks are refused, and gets
// every one that was accepted when there is room again.
func TestAFullDiskLosesNothing(t *testing.T) {
	t.Parallel()
	m := newMachine(t, awayRepository)
	if os.Geteuid() != 0 {
		cannot(t, "mounting a small disk needs root")
	}
	mount(t, m.data, "size=16m")
	r := m.up(t)
	filler := filepath.Join(m.data, "filler")
	fill(t, filler)
	accepted, status := 0, 0
	deliver := func() {
		t.Helper()
		h := github(pushOf("refs/heads/main", strings.Repeat("x", 20_000))).with("X-Github-Delivery", fmt.Sprint(accepted)).signed()
		if status = m.send(t, h); status == http.StatusAccepted {
			accepted++
		}
	}
	bustest.Until(t, "a webhook is refused", func() bool { deliver(); return status != http.StatusAccepted })
	if status != http.StatusServiceUnavailable {
		t.Errorf("answered %d", status)
	}
	r.says(t, "the disk of the data folder is full", m.data)
	deliver()
	if status != http.StatusServiceUnavailable {
		t.Errorf("still full: answered %d", status)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	before := accepted
	bustest.Until(t, "webhooks are accepted again", func() bool { deliver(); return accepted > before })
	r.says(t, "started the embedded bus anew")
	if n := m.events(t); n != accepted {
		t.Errorf("%d events of %d accepted webhooks", n, accepted)
	}
	t.Logf("%d webhooks", accepted)
}

func TestAWrongNATSPasswordIsToldAndTriedAgain(t *testing.T) {
	t.Parallel()
	o := busserver.Options{Dir: t.TempDir(), Addr: servicetest.Address(t), Token: "right"}
	server, err := busserver.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	m := newMachine(t, awayRepository)
	servicetest.Write(t, filepath.Join(m.dir, "token"), "wrong\n")
	m.change(t, `{embedded: {listen: "`+m.nats+`"}}`, `{url: "nats://`+o.Addr+`", credentials: {token: {file: `+m.dir+`/token}}}`)
	r := m.start(t)
	r.says(t, "the server refuses our credentials (bus.credentials)", "Authorization Violation")
	bustest.Until(t, "readiness tells it", func() bool {
		return contains(m.ask(t, "/readyz"), "503 ", "without the bus yet", "refuses our credentials")
	})
	if status := m.send(t, github(push).signed()); status != http.StatusServiceUnavailable {
		t.Errorf("a webhook is answered %d", status)
	}
	if strings.Contains(r.log.String(), "wrong") {
		t.Error("the log has the token")
	}
	server.Shutdown()
	o.Token = "wrong"
	if server, err = busserver.Start(o); err != nil {
		t.Fatal(err)
	}
	defer server.Shutdown()
	bustest.Until(t, "it is ready", func() bool { return strings.HasPrefix(m.ask(t, "/readyz"), "200 ok") })
}

func TestAnExpiredCertificateIsTold(t *testing.T) {
	t.Parallel()
	ca := servicetest.NewCA(t)
	t.Run("our own", func(t *testing.T) {
		t.Parallel()
		m := newMachine(t, awayRepository)
		issue := func(ends time.Duration) {
			cert, key := ca.Issue(t, "hooks", ends)
			servicetest.Write(t, filepath.Join(m.dir, "key"), key)
			servicetest.Write(t, filepath.Join(m.dir, "cert"), cert)
		}
		issue(-time.Hour)
		m.change(t, "listen: {", fmt.Sprintf("listen: {tls: {cert: %[1]s/cert, key: %[1]s/key}, ", m.dir))
		r := m.up(t)
		r.says(t, `"ERROR"`, "our certificate (listen.tls.cert) expired at", "1h0m", "renew it")
		if says := m.ask(t, "/readyz"); !contains(says, "200 ok", "warning: our certificate", "expired at") {
			t.Error(says)
		}
		issue(time.Hour)
		r.says(t, `"WARN"`, "our certificate (listen.tls.cert) expires at")
		bustest.Until(t, "the renewed one is in force", func() bool { return m.ask(t, "/readyz") == "200 ok\n" })
		if !strings.Contains(m.ask(t, "/metrics"), "slipway_certificate_expiry_timestamp_seconds{use=\"listen\"} 1.") {
			t.Error("no metric tells its end")
		}
	})
	t.Run("the Git host's", func(t *testing.T) {
		t.Parallel()
		git := httptest.NewUnstartedServer(http.NotFoundHandler())
		git.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Pair(t, "git", -time.Hour)}, MinVersion: tls.VersionTLS12}
		git.Config.ErrorLog = discard
		git.StartTLS()
		defer git.Close()
		m := newMachine(t, fmt.Sprintf("repositories:\n- {url: %q, ca: {env: CA}, roots: [{cluster: local, path: x}]}\n", git.URL+"/acme/config.git"))
		m.env = []string{"CA=" + ca.PEM()}
		r := m.up(t)
		r.says(t, git.URL+"/acme/config.git", "certificate has expired or is not yet valid")
	})
}

// TestClocksThatAreApartAreTold has what NATS says of its time be a year ago.
func TestClocksThatAreApartAreTold(t *testing.T) {
	t.Parallel()
	o := busserver.Options{Dir: t.TempDir(), Addr: "127.0.0.1:0"}
	server, err := busserver.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Shutdown()
	now := time.Now().UTC().Year()
	past := &altered{from: fmt.Appendf(nil, `"ts":"%d`, now), to: fmt.Appendf(nil, `"ts":"%d`, now-1)}
	m := newMachine(t, awayRepository)
	m.change(t, `{embedded: {listen: "`+m.nats+`"}}`, `{url: "`+past.open(t, server.URL())+`"}`)
	r := m.up(t)
	r.says(t, "this machine's clock and the NATS server's are apart", `"ahead":"87`, "ours", "theirs")
	bustest.Until(t, "the metric tells it", func() bool { return strings.Contains(m.ask(t, "/metrics"), "slipway_bus_clock_ahead_seconds 3.1") })
}

// altered is a way to the bus on which what comes back is altered.
type altered struct{ from, to []byte }

func (a *altered) open(t *testing.T, url string) string {
	t.Helper()
	return relay(t, url, func(in, out net.Conn) {
		go a.pump(out, in, false)
		go a.pump(in, out, true)
	})
}

func (a *altered) pump(to, from net.Conn, alter bool) {
	defer func() { _ = to.Close() }()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		data := buf[:n]
		if alter {
			data = bytes.ReplaceAll(data, a.from, a.to)
		}
		if _, err := to.Write(data); err != nil {
			return
		}
	}
}
