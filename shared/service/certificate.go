package service

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"time"
)

const (
	// soon is how long before the end of our certificate it is told.
	soon = 14 * 24 * time.Hour
	// certificateInterval is how often our certificate is looked at.
	certificateInterval = 12 * time.Hour
)

// leaf is our own certificate; nil where there is no TLS.
func (k *keys) leaf() *x509.Certificate {
	c := k.now.Load()
	if c == nil || len(c.Certificates) == 0 {
		return nil
	}
	return c.Certificates[0].Leaf
}

// fault says what is wrong with a certificate at a time, or soon will be, and
// whether senders refuse it already.
func fault(c *x509.Certificate, now time.Time) (text string, refused bool) {
	const renew = ": renew it, the files are read again by themselves"
	switch {
	case c == nil:
		return "", false
	case now.Before(c.NotBefore):
		return fmt.Sprintf("our certificate (listen.tls.cert) is valid from %s, in %s: callers refuse it, or this machine's clock is behind",
			c.NotBefore.Format(time.RFC3339), c.NotBefore.Sub(now).Round(time.Second)), true
	case now.After(c.NotAfter):
		return fmt.Sprintf("our certificate (listen.tls.cert) expired at %s, %s ago, and callers refuse it%s",
			c.NotAfter.Format(time.RFC3339), now.Sub(c.NotAfter).Round(time.Second), renew), true
	case now.Add(soon).After(c.NotAfter):
		return fmt.Sprintf("our certificate (listen.tls.cert) expires at %s, in %s%s",
			c.NotAfter.Format(time.RFC3339), c.NotAfter.Sub(now).Round(time.Second), renew), false
	}
	return "", false
}

// tell logs what is wrong with our certificate.
func (k *keys) tell(ctx context.Context, log *slog.Logger) {
	text, refused := fault(k.leaf(), time.Now())
	switch {
	case refused:
		log.ErrorContext(ctx, "our certificate is refused by callers", "why", text)
	case text != "":
		log.WarnContext(ctx, "our certificate ends soon", "why", text)
	}
}

// watch tells of our certificate until ctx ends.
func (k *keys) watch(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(certificateInterval)
	defer tick.Stop()
	for {
		k.tell(ctx, log)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
