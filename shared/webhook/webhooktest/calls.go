package webhooktest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/webhook"
)

func isProviders(err error) bool {
	return errors.Is(err, webhook.ErrBody) || errors.Is(err, webhook.ErrContentType)
}

// caller sends one provider's deliveries to the bed.
type caller struct {
	*bed
	provider webhook.Provider
	sender   Sender
	push     Fixture
}

// answer is what a request got.
type answer struct {
	status int
	header http.Header
	body   string
}

// told are the ids in the body of a 202.
func (a answer) told(t testing.TB) (chain string, ids []string) {
	t.Helper()
	var body struct {
		ChainID string `json:"chainId"`
		Events  []struct{ ID, Type, Subject string }
	}
	if err := json.Unmarshal([]byte(a.body), &body); err != nil || body.Events == nil {
		t.Fatalf("%d %q is not the body of a 202: %v", a.status, a.body, err)
	}
	for _, e := range body.Events {
		if e.ID == "" || e.Type == "" || e.Subject == "" {
			t.Errorf("%q tells an event without id, type or subject", a.body)
		}
		ids = append(ids, e.ID)
	}
	return body.ChainID, ids
}

// signed is the push with the proof of a secret, and another body where one is
// given.
func (c *caller) signed(secret string, body []byte) webhook.Request {
	return c.signedAt(secret, body, time.Now())
}

func (c *caller) signedAt(secret string, body []byte, now time.Time) webhook.Request {
	r := c.push.Request()
	if body != nil {
		r.Body = body
	}
	c.sender.sign(c.provider, r.Header, r.Body, secret, now)
	return r
}

// withToken puts the token where it belongs.
func withToken(path string, h http.Header) (string, http.Header) {
	token := h.Get(Token)
	if token == "" {
		return path, h
	}
	h = maps.Clone(h)
	h.Del(Token)
	path, query, _ := strings.Cut(path, "?")
	return path + "/" + url.PathEscape(token) + "?" + query, h
}

func (b *bed) send(t testing.TB, method, path string, r webhook.Request) answer {
	t.Helper()
	path, header := withToken(path, r.Header)
	req, err := http.NewRequestWithContext(t.Context(), method, b.http.URL+path, bytes.NewReader(r.Body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	// As it is: the client must not follow, and must not unpack.
	resp, err := (&http.Transport{DisableCompression: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

// post sends to the provider's own source.
func (c *caller) post(t testing.TB, r webhook.Request) answer {
	t.Helper()
	return c.send(t, http.MethodPost, "/hooks/"+c.provider.Name, r)
}

// stored are the ids of all events on the bus.
func (b *bed) stored(t testing.TB) []string {
	t.Helper()
	var ids []string
	for s, err := range b.bus.Read(t.Context(), bus.ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, s.Event.ID)
	}
	return ids
}

// refused sends what must be answered so and store nothing.
func (c *caller) refused(t *testing.T, name string, status int, r webhook.Request) answer {
	t.Helper()
	var got answer
	t.Run(name, func(t *testing.T) {
		before := c.stored(t)
		got = c.post(t, r)
		if got.status != status {
			t.Errorf("answered %d %s, want %d", got.status, got.body, status)
		}
		if status >= 400 && got.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("the answer is %s, not a problem of RFC 9457", got.header.Get("Content-Type"))
		}
		if strings.Contains(got.body, Secret) {
			t.Errorf("the answer tells the secret: %s", got.body)
		}
		if after := c.stored(t); !slices.Equal(before, after) {
			t.Errorf("stored %v", after[len(before):])
		}
	})
	return got
}

// proofs are WEBHOOKS.md Z 1, 2 and 3.
func (c *caller) proofs(t *testing.T) {
	t.Helper()
	if c.sender.Proof == Token {
		c.tokens(t)
		return
	}
	now := time.Now() // of both proofs: a time stamp is no cover of the body
	good := c.signedAt(Secret, nil, now)
	proof := good.Header.Get(c.sender.Proof)
	with := func(values ...string) webhook.Request {
		r := webhook.Request{Header: maps.Clone(good.Header), Body: good.Body}
		r.Header[http.CanonicalHeaderKey(c.sender.Proof)] = values
		return r
	}
	flip := func(s string) string {
		last := byte('0')
		if s[len(s)-1] == '0' {
			last = '1'
		}
		return s[:len(s)-1] + string(last)
	}
	cases := map[string]webhook.Request{
		"proof missing":               with(),
		"proof empty":                 with(""),
		"proof doubled":               with(proof, proof),
		"proof doubled and empty":     with("", proof),
		"proof with the last changed": with(flip(proof)),
		"proof cut":                   with(proof[:len(proof)-1]),
		"proof longer":                with(proof + "0"),
		"proof in capitals":           with(strings.ToUpper(proof)),
		"proof of another secret":     c.signed("another", nil),
		"proof of an empty secret":    c.signed("", nil),
		"proof twice in one":          with(proof + "," + proof),
	}
	// Where the proof covers the body, another body has another.
	if other := c.signedAt(Secret, []byte("{}"), now); other.Header.Get(c.sender.Proof) != proof {
		cases["proof of another body"] = webhook.Request{Header: other.Header, Body: good.Body}
	}
	bodies := map[string]bool{}
	for name, r := range cases {
		bodies[c.refused(t, name, http.StatusUnauthorized, r).body] = true
	}
	if len(bodies) != 1 {
		t.Errorf("the answers to wrong proofs differ: %v", bodies)
	}
	c.secrets(t)
}

// tokens are proofs where the path has the secret.
func (c *caller) tokens(t *testing.T) {
	t.Helper()
	c.refused(t, "no token", http.StatusUnauthorized, c.push.Request())
	for name, token := range map[string]string{
		"another token": "another", "token cut": Secret[:len(Secret)-1], "token longer": Secret + "0", "token in capitals": strings.ToUpper(Secret),
	} {
		c.refused(t, name, http.StatusNotFound, c.signed(token, nil))
	}
	c.secrets(t)
}

func (c *caller) secrets(t *testing.T) {
	t.Helper()
	for _, secret := range []string{Secret, OldSecret} {
		t.Run("proof of each configured secret is taken", func(t *testing.T) {
			if got := c.post(t, c.signed(secret, nil)); got.status != http.StatusAccepted {
				t.Errorf("answered %d %s", got.status, got.body)
			}
		})
	}
}

// bodies are WEBHOOKS.md Z 5, 6, 7, 8, 10, 15, 19, 20 and 21, each rightly
// signed.
func (c *caller) bodies(t *testing.T) {
	t.Helper()
	push := []byte(c.push.Body)
	// A sender that a 4xx blocks gets none for what it can't help.
	unreadable := http.StatusBadRequest
	if c.provider.Blocks {
		unreadable = http.StatusAccepted
	}
	for name, body := range map[string][]byte{
		"body empty":                 {},
		"body of blanks":             []byte(" \n"),
		"body null":                  []byte("null"),
		"body a string":              []byte(`"push"`),
		"body a list":                []byte("[]"),
		"body a number":              []byte("12"),
		"body cut":                   push[:len(push)/2],
		"body with a second object":  append(slices.Clone(push), "{}"...),
		"body with a brace too many": append(slices.Clone(push), '}'),
		"body with NUL behind":       append(slices.Clone(push), 0),
		"body with a mark before":    append([]byte("\xef\xbb\xbf"), push...),
		"body in UTF-16":             inUTF16(push),
		"body that isn't UTF-8":      bytes.Replace(push, []byte(`{`), []byte("{\"x\":\"\xe9\","), 1),
		"body nested 20,000 deep":    []byte(`{"x":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`),
	} {
		c.refused(t, name, unreadable, c.signed(Secret, body))
	}
	typed := func(kind string) webhook.Request {
		r := c.signed(Secret, nil)
		r.Header.Set("Content-Type", kind)
		return r
	}
	wrongType := http.StatusUnsupportedMediaType
	if c.provider.Blocks {
		wrongType = http.StatusAccepted
	}
	// The proof of a Gitea form covers what is inside, so that a wrong type
	// may fail there already: what matters is that nothing is stored.
	for _, kind := range []string{"text/plain", "multipart/form-data; boundary=x", "", "application/xml"} {
		if usual, _, _ := strings.Cut(c.push.Headers["Content-Type"], ";"); kind == usual {
			continue // SNS calls its JSON text/plain
		}
		t.Run("content type "+kind, func(t *testing.T) {
			before := c.stored(t)
			got := c.post(t, typed(kind))
			if got.status != wrongType && got.status != http.StatusUnauthorized {
				t.Errorf("answered %d %s, want %d", got.status, got.body, wrongType)
			}
			if !slices.Equal(before, c.stored(t)) {
				t.Error("stored it")
			}
		})
	}
	for _, encoding := range []string{"gzip", "deflate", "br"} {
		r := c.signed(Secret, nil)
		r.Header.Set("Content-Encoding", encoding)
		c.refused(t, "content encoding "+encoding, http.StatusUnsupportedMediaType, r)
	}
	huge := append(slices.Clone(push), bytes.Repeat([]byte(" "), maxBody)...)
	c.refused(t, "body over the limit", http.StatusRequestEntityTooLarge, c.signed(Secret, huge))
	t.Run("body at the limit is taken", func(t *testing.T) {
		whole := append(slices.Clone(push), bytes.Repeat([]byte(" "), maxBody-len(push))...)
		if got := c.post(t, c.signed(Secret, whole)); got.status != http.StatusAccepted {
			t.Errorf("answered %d %s", got.status, got.body)
		}
	})
	t.Run("a body shorter than its length stores nothing", c.vanish)
}

func inUTF16(s []byte) []byte {
	out := []byte{0xfe, 0xff}
	for _, u := range utf16.Encode([]rune(string(s))) {
		out = append(out, byte(u>>8), byte(u))
	}
	return out
}

// vanish closes the sending side in the middle of a body.
func (c *caller) vanish(t *testing.T) {
	before := c.stored(t)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", c.http.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	r := c.signed(Secret, nil)
	path, header := withToken("/hooks/"+c.provider.Name, r.Header)
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n", path, len(r.Body)+10)
	if err := header.Write(conn); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "\r\n%s", r.Body)
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(got, []byte("HTTP/1.1 400 ")) {
		t.Errorf("answered %q", got)
	}
	if !slices.Equal(before, c.stored(t)) {
		t.Error("stored it")
	}
}

// doors are WEBHOOKS.md Z 22.
func (c *caller) doors(t *testing.T) {
	t.Helper()
	good := c.signed(Secret, nil)
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodHead, http.MethodDelete, http.MethodPatch, http.MethodOptions, http.MethodTrace} {
		if method == http.MethodOptions && c.provider.Options != nil {
			continue
		}
		t.Run("method "+method, func(t *testing.T) {
			got := c.send(t, method, "/hooks/"+c.provider.Name+"?payload=%7B%7D", good)
			if got.status != http.StatusMethodNotAllowed || got.header.Get("Allow") != http.MethodPost {
				t.Errorf("answered %d, Allow %q", got.status, got.header.Get("Allow"))
			}
		})
	}
	bodies := map[string]bool{}
	for name, path := range map[string]string{
		"an unknown source": "/hooks/nobody", "an unknown source with a token": "/hooks/nobody/" + "x",
		"a wrong token": "/hooks/" + c.provider.Name + "/guessed", "an empty token": "/hooks/" + c.provider.Name + "/",
		"no source": "/hooks/", "a double slash": "/hooks//" + c.provider.Name, "an escaped slash": "/hooks/" + c.provider.Name + "%2Fx",
		"a path above": "/hooks/../hooks/" + c.provider.Name, "another path": "/" + c.provider.Name, "capitals": "/hooks/" + strings.ToUpper(c.provider.Name),
	} {
		t.Run(name+" is 404", func(t *testing.T) {
			got := c.send(t, http.MethodPost, path, good)
			if got.status != http.StatusNotFound {
				t.Errorf("answered %d %s", got.status, got.body)
			}
			bodies[got.body] = true
		})
	}
	if len(bodies) != 1 {
		t.Errorf("the answers to what isn't there differ: %v", bodies)
	}
}
