package slipway_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net"
	"slices"
	"testing"
	"time"
)

// renegotiate asks for a second handshake on a connection of TLS 1.2, which
// crypto/tls never does: the record is sealed here, with the keys of the
// first. The server must hang up.
func renegotiate(t *testing.T, addr string, config *tls.Config) {
	t.Helper()
	raw, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = raw.Close() }()
	var keyLog bytes.Buffer
	w := &wire{Conn: raw}
	config = config.Clone()
	config.ServerName, config.KeyLogWriter = "hooks.example.com", &keyLog
	config.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
	conn := tls.Client(w, config)
	if err := conn.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	var label, clientRandom, master []byte
	for i, field := range []*[]byte{&label, &clientRandom, &master} {
		*field = bytes.Fields(keyLog.Bytes())[i]
	}
	// Behind the heads of record and message, and the version.
	serverRandom := w.first[5+4+2:][:32]
	keys := sessionKeys(decode16(t, master), decode16(t, clientRandom), serverRandom)
	hello := append([]byte{1, 0, 0, 43, 3, 3}, bytes.Repeat([]byte{7}, 32)...) // a ClientHello
	hello = append(hello, 0, 0, 2, 0xc0, 0x2b, 1, 0, 0, 0)
	_ = raw.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := raw.Write(seal(t, keys[0:16], keys[32:36], 1, hello)); err != nil {
		t.Fatal(err)
	}
	// An alert that says why, no ServerHello, and the end.
	got, err := io.ReadAll(raw)
	if err != nil {
		t.Fatal(err)
	}
	var alerts []byte
	for len(got) > 5 {
		kind, end := got[0], 5+int(binary.BigEndian.Uint16(got[3:]))
		if kind == recordHandshake {
			t.Error("the server shakes hands again")
		}
		if kind == recordAlert {
			alert, err := gcm(t, keys[16:32]).Open(nil, append(slices.Clone(keys[36:40]), got[5:13]...), got[13:end], about(got[5:13], recordAlert, 2))
			if err != nil {
				t.Fatal(err)
			}
			alerts = append(alerts, alert[1])
		}
		got = got[end:]
	}
	const unexpectedMessage, noRenegotiation = 10, 100
	if len(alerts) == 0 || (alerts[0] != unexpectedMessage && alerts[0] != noRenegotiation) {
		t.Errorf("the alerts are %d", alerts)
	}
}

const recordAlert, recordHandshake = 21, 22

func decode16(t *testing.T, text []byte) []byte {
	t.Helper()
	b, err := hex.DecodeString(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sessionKeys expands the master secret (RFC 5246, 5 and 6.3): the keys of
// client and server, then their salts.
func sessionKeys(master, clientRandom, serverRandom []byte) (block []byte) {
	sum := func(parts ...[]byte) []byte {
		h := hmac.New(sha256.New, master)
		for _, p := range parts {
			h.Write(p)
		}
		return h.Sum(nil)
	}
	seed := slices.Concat([]byte("key expansion"), serverRandom, clientRandom)
	for a := sum(seed); len(block) < 40; a = sum(a) {
		block = append(block, sum(a, seed)...)
	}
	return block
}

func gcm(t *testing.T, key []byte) cipher.AEAD {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return aead
}

// about is what a record's seal covers besides its content.
func about(number []byte, kind byte, length int) []byte {
	return append(slices.Clone(number), kind, 3, 3, byte(length>>8), byte(length))
}

// seal makes a record of a handshake (RFC 5288), the client's number seq.
func seal(t *testing.T, key, salt []byte, seq uint64, message []byte) []byte {
	t.Helper()
	number := binary.BigEndian.AppendUint64(nil, seq)
	sealed := append(slices.Clone(number), gcm(t, key).Seal(nil, append(slices.Clone(salt), number...), message, about(number, recordHandshake, len(message)))...)
	return append([]byte{recordHandshake, 3, 3, byte(len(sealed) >> 8), byte(len(sealed))}, sealed...)
}

// wire is a connection that keeps what the server said first.
type wire struct {
	net.Conn
	first []byte
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if len(w.first) < 1024 {
		w.first = append(w.first, p[:n]...)
	}
	return n, err
}
