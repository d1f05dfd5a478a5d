package slipway_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/shared/bus/bustest"
	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/service/servicetest"
	"github.com/slipway-cd/slipway/shared/webhook"
)

// newTLSFront is a front behind the TLS of a config. Both sides trust ca;
// asked says whether senders must show a certificate.
func newTLSFront(t *testing.T, ca *servicetest.CA, asked bool) *front {
	t.Helper()
	dir := t.TempDir()
	cert, key := ca.Issue(t, "hooks", time.Hour)
	settings := service.TLS{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	servicetest.Write(t, settings.Cert, cert)
	servicetest.Write(t, settings.Key, key)
	if asked {
		settings.ClientCA = filepath.Join(dir, "ca.pem")
		servicetest.Write(t, settings.ClientCA, ca.PEM())
	}
	config, err := settings.Config()
	if err != nil {
		t.Fatal(err)
	}
	return newFront(t, frontOptions{tls: config})
}

// sendTLS sends a hook on a connection of its own.
func (f *front) sendTLS(t testing.TB, h hook, config *tls.Config) (reply, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), h.method, "https://"+f.addr+h.path, bytes.NewReader(h.body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = h.header
	// HTTP/2, as most senders speak it.
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true, DisableKeepAlives: true}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, res.Header, string(body)}, err
}

// taken holds that a good sender is served, at another source than the one
// that the tests attack.
func (f *front) taken(t *testing.T, config *tls.Config) {
	t.Helper()
	h := gitHook("gitea", "gitea", "push", pushOf("refs/heads/next", fmt.Sprint(time.Now().UnixNano()))).signed()
	if got, err := f.sendTLS(t, h, config); err != nil || got.status != http.StatusAccepted {
		t.Errorf("a good sender is answered %d %s, %v", got.status, got.body, err)
	}
}

// silent holds that nothing was logged above debug.
func (f *front) silent(t *testing.T) {
	t.Helper()
	if text := f.log.String(); text != "" {
		t.Errorf("logged: %s", text)
	}
}

func TestZ30TLSOnAPlainPortIsClosed(t *testing.T) {
	t.Parallel()
	f := newFront(t, frontOptions{})
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}
	if _, err := dialer.DialContext(t.Context(), "tcp", f.addr); err == nil {
		t.Error("TLS on the plain port is taken")
	}
	f.silent(t)
	f.fine(t)
}

func TestZ30BrokenTLSIsClosedAndNotLogged(t *testing.T) {
	t.Parallel()
	ca, stranger := servicetest.NewCA(t), servicetest.NewCA(t)
	f := newTLSFront(t, ca, true)
	with := func(pairs ...tls.Certificate) *tls.Config {
		// Sent even where the server would not want it.
		return &tls.Config{RootCAs: ca.Pool(), GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &append(pairs, tls.Certificate{})[0], nil
		}}
	}
	good := with(ca.Pair(t, "quay", time.Hour))
	refused := func(config *tls.Config) func(t *testing.T) {
		return func(t *testing.T) {
			t.Helper()
			before := len(f.stored(t))
			if got, err := f.sendTLS(t, github(push).signed(), config); err == nil {
				t.Errorf("answered %d %s", got.status, got.body)
			}
			if n := len(f.stored(t)) - before; n != 0 {
				t.Errorf("%d events were stored", n)
			}
		}
	}
	closed := func(text string) func(t *testing.T) {
		return func(t *testing.T) {
			t.Helper()
			if got := f.raw(t, text); bytes.HasPrefix([]byte(got), []byte("HTTP/1.1 2")) {
				t.Errorf("answered %q", got)
			}
		}
	}
	for _, c := range []struct {
		name string
		test func(*testing.T)
	}{
		{"plain HTTP on the TLS port", closed("POST /hooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")},
		{"nonsense", closed("\x16\x03\x01\x00\x05nonsense")},
		{"an expired client certificate", refused(with(ca.Pair(t, "quay", -time.Hour)))},
		{"an expired client certificate, TLS 1.2", refused(older(with(ca.Pair(t, "quay", -time.Hour))))},
		{"a stranger's client certificate", refused(with(stranger.Pair(t, "quay", time.Hour)))},
		{"no client certificate", refused(with())},
		{"too old a version", refused(&tls.Config{RootCAs: ca.Pool(), MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})},
		{"renegotiation", func(t *testing.T) { t.Helper(); renegotiate(t, f.addr, older(good)) }},
		{"an unknown SNI", func(t *testing.T) {
			t.Helper()
			config := good.Clone()
			config.ServerName, config.InsecureSkipVerify = "nobody.example", true
			f.taken(t, config) // with the certificate that we have
			if config.InsecureSkipVerify = false; t.Failed() {
				return
			}
			refused(config)(t) // by the sender, who sees that it is another's
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.test(t)
			f.silent(t)
			f.taken(t, good)
		})
	}
}

func older(c *tls.Config) *tls.Config {
	c = c.Clone()
	c.MaxVersion = tls.VersionTLS12
	return c
}

// frame is one of HTTP/2.
func frame(kind, flags byte, stream uint32, payload string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	b = append(b, flags)
	return append(binary.BigEndian.AppendUint32(b, stream), payload...)
}

// TestZ23RapidResetDelaysNobody opens streams and takes each back at once, as
// many as a connection allows, on several connections.
func TestZ23RapidResetDelaysNobody(t *testing.T) {
	ca := servicetest.NewCA(t) // alone: it measures memory
	f := newTLSFront(t, ca, false)
	const (
		connections, streams     = 8, 20_000
		headers, reset, settings = 1, 3, 4
		endHeaders               = 4
	)
	// :method POST, :scheme https, :path /hooks/github, :authority x
	request := "\x83\x87" + "\x04\x0d/hooks/github" + "\x01\x01x"
	var burst []byte
	for i := range uint32(streams) {
		burst = append(burst, frame(headers, endHeaders, 2*i+1, request)...)
		burst = append(burst, frame(reset, 0, 2*i+1, "\x00\x00\x00\x08")...) // CANCEL
	}
	config := &tls.Config{RootCAs: ca.Pool(), NextProtos: []string{"h2"}}
	var before, now runtime.MemStats
	var most uint64
	runtime.GC()
	runtime.GC() // what pools keep goes at the second
	runtime.ReadMemStats(&before)
	goroutines := runtime.NumGoroutine()
	var conns []net.Conn
	ended := make(chan struct{}, connections)
	for range connections {
		conn, err := (&tls.Dialer{Config: config}).DialContext(t.Context(), "tcp", f.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		conns = append(conns, conn)
		go func() {
			_, _ = conn.Write(append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(settings, 0, 0, "")...))
			_, _ = conn.Write(burst) // the server may hang up before the end
			ended <- struct{}{}
		}()
		go func() { _, _ = io.Copy(io.Discard, conn) }()
	}
	for sending := true; sending; sending = len(ended) < connections {
		began := time.Now()
		f.taken(t, &tls.Config{RootCAs: ca.Pool()})
		if took := time.Since(began); took > hangs {
			t.Errorf("a good sender waited %s", took)
		}
		runtime.ReadMemStats(&now)
		most = max(most, now.HeapAlloc)
	}
	for _, conn := range conns {
		_ = conn.Close()
	}
	const others = 16 // of the bus's client, the HTTP client's pool and the like come and go; the streams were thousands
	bustest.Until(t, "no request is left behind", func() bool { return runtime.NumGoroutine() <= goroutines+others })
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&now)
	grew, kept := int64(most)-int64(before.HeapAlloc), int64(now.HeapAlloc)-int64(before.HeapAlloc)
	t.Logf("%d streams reset on %d connections: the heap grew by %d KiB and kept %d", connections*streams, connections, grew/1024, kept/1024)
	if grew > 128*webhook.MiB || kept > 32*webhook.MiB {
		t.Errorf("the heap grew by %d MiB and kept %d", grew/webhook.MiB, kept/webhook.MiB)
	}
	if !strings.Contains(f.log.String(), `"reason":"cut"`) {
		t.Error("no reset stream came to the door")
	}
	f.taken(t, &tls.Config{RootCAs: ca.Pool()})
}
