package bustest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// Raw is a connection that asks the server for what no service asks for, to see
// it refused.
type Raw struct {
	nc *nats.Conn
}

// ConnectRaw opens one with files in PEM form.
func ConnectRaw(t testing.TB, url, ca, cert, key string) *Raw {
	t.Helper()
	nc, err := nats.Connect(url, nats.RootCAs(ca), nats.ClientCert(cert, key), nats.NoReconnect(),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		t.Fatalf("connect to %s: %v", url, err)
	}
	t.Cleanup(nc.Close)
	return &Raw{nc}
}

// MayPublish publishes an empty message and says whether the server took it.
func (r *Raw) MayPublish(t testing.TB, subject string) bool {
	t.Helper()
	if err := r.nc.PublishRequest(subject, "_INBOX.nobody", nil); err != nil {
		t.Fatalf("publish to %s: %v", subject, err)
	}
	return r.taken(t, subject)
}

// MaySubscribe subscribes and says whether the server took it.
func (r *Raw) MaySubscribe(t testing.TB, subject string) bool {
	t.Helper()
	sub, err := r.nc.SubscribeSync(subject)
	if err != nil {
		t.Fatalf("subscribe to %s: %v", subject, err)
	}
	defer func() { _ = sub.Unsubscribe() }() // the server may have ended it
	return r.taken(t, subject)
}

// taken waits until the server has said what it says of what was sent.
func (r *Raw) taken(t testing.TB, subject string) bool {
	t.Helper()
	if err := r.nc.Flush(); err != nil {
		t.Fatalf("wait for the server: %v", err)
	}
	err := r.nc.LastError()
	return !errors.Is(err, nats.ErrPermissionViolation) || !strings.Contains(err.Error(), `"`+subject+`"`)
}

// Answered sends a request to each subject, to be answered below inbox, and then
// one to last, which somebody answers: it gives those of the others that were
// answered before.
func (r *Raw) Answered(t testing.TB, inbox, last string, subjects ...string) (answered []string) {
	t.Helper()
	sub, err := r.nc.SubscribeSync(inbox + ".*")
	if err != nil {
		t.Fatalf("subscribe to %s: %v", inbox, err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	for i, subject := range append(subjects, last) {
		if err := r.nc.PublishRequest(subject, fmt.Sprintf("%s.%d", inbox, i), nil); err != nil {
			t.Fatalf("publish to %s: %v", subject, err)
		}
	}
	for {
		m, err := sub.NextMsg(30 * time.Second)
		if errors.Is(err, nats.ErrNoResponders) {
			continue // the next server knew already that it leads nowhere
		}
		if err != nil {
			t.Fatalf("%s was not answered: %v", last, err)
		}
		i, err := strconv.Atoi(strings.TrimPrefix(m.Subject, inbox+"."))
		if err != nil || i == len(subjects) {
			return answered
		}
		answered = append(answered, subjects[i])
	}
}
