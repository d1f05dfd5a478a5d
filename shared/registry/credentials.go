package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/docker/cli/cli/config/configfile"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// Source gives what a registry wants to see. It is asked again at that time,
// never where it is zero, and when the registry doesn't take it any more.
type Source func(ctx context.Context) (authn.AuthConfig, time.Time, error)

const (
	// renewPause is between two requests for credentials that the registry
	// refuses, since they may have no right to what is asked.
	renewPause = time.Minute
	// helperLife is how long the answer of a credential helper counts, which
	// doesn't tell that itself.
	helperLife = 15 * time.Minute
)

// errCredentials says that a source failed: the registry wasn't asked.
var errCredentials = errors.New("get credentials")

// credentials are those of one place. It is an authn.Authenticator that is
// asked for each request, or for each token.
type credentials struct {
	source Source
	// stamp tells states of what the source reads apart; nil where it doesn't
	// change by itself.
	stamp func() string

	mu    sync.Mutex
	last  authn.AuthConfig
	until time.Time
	asked time.Time
	read  string // the stamp then
	known int    // how often the source was asked
	good  bool   // the registry took them
}

// newCredentials gives those of a host that is called at the address; nil for
// none.
func newCredentials(h Host, address string) *credentials {
	switch {
	case h.Source != nil:
		return &credentials{source: h.Source}
	case h.DockerConfig != "":
		return &credentials{source: DockerConfig(h.DockerConfig, address, h.Name), stamp: func() string { return stampOf(h.DockerConfig) }}
	case h.Password != "":
		return &credentials{source: func(context.Context) (authn.AuthConfig, time.Time, error) {
			return authn.AuthConfig{Username: h.User, Password: h.Password}, time.Time{}, nil
		}}
	}
	return nil
}

// Authorization gives the credentials of now.
func (c *credentials) Authorization() (*authn.AuthConfig, error) {
	return c.AuthorizationContext(context.Background())
}

// AuthorizationContext gives the credentials of now.
func (c *credentials) AuthorizationContext(ctx context.Context) (*authn.AuthConfig, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	over := !c.until.IsZero() && !time.Now().Before(c.until)
	if c.known == 0 || over || (c.stamp != nil && c.stamp() != c.read) {
		if err := c.get(ctx); err != nil {
			return nil, err
		}
	}
	now := c.last
	return &now, nil
}

// get asks the source.
func (c *credentials) get(ctx context.Context) error {
	read := ""
	if c.stamp != nil {
		read = c.stamp() // before, so that a change meanwhile is seen
	}
	last, until, err := c.source(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", errCredentials, err)
	}
	c.last, c.until, c.read, c.asked, c.good = last, until, read, time.Now(), false
	c.known++
	return nil
}

func (c *credentials) generation() int {
	if c == nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known
}

// taken notes that the registry took the credentials.
func (c *credentials) taken(generation int) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.good = c.good || generation == c.known || generation == 0
}

// renew asks for new credentials after those of a generation were refused, and
// says whether there are other ones now. What was good and is unauthorized was
// taken back; what is forbidden may be what was asked.
func (c *credentials) renew(ctx context.Context, generation, status int) bool {
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if generation != 0 && generation != c.known {
		return true // another request has renewed them
	}
	back := c.good && status == http.StatusUnauthorized
	if !back && time.Since(c.asked) < renewPause {
		return false
	}
	before := c.last
	return c.get(ctx) == nil && c.last != before
}

// stampOf tells states of a file apart. A secret of Kubernetes is a link whose
// target changes.
func stampOf(file string) string {
	info, err := os.Stat(file)
	if err != nil {
		return ""
	}
	real, _ := filepath.EvalSymlinks(file)
	return fmt.Sprintf("%s %d %d", real, info.Size(), info.ModTime().UnixNano())
}

// DockerConfig reads credentials from a docker config.json, or has its helper
// give them: those of the first of the hosts for which there are some.
func DockerConfig(file string, hosts ...string) Source {
	return func(context.Context) (none authn.AuthConfig, never time.Time, err error) {
		f, err := os.Open(filepath.Clean(file))
		if err != nil {
			return none, never, fmt.Errorf("read docker config: %w", err)
		}
		defer f.Close()
		c := configfile.New(file)
		if err := c.LoadFromReader(f); err != nil {
			return none, never, fmt.Errorf("read docker config %s: %w", file, err)
		}
		for _, host := range hosts {
			if host == "" {
				continue // a mirror has no other name
			}
			if host == name.DefaultRegistry {
				host = authn.DefaultAuthKey
			}
			a, err := c.GetAuthConfig(host)
			if err != nil {
				return none, never, fmt.Errorf("read docker config %s: %w", file, err)
			}
			found := authn.AuthConfig{Username: a.Username, Password: a.Password, Auth: a.Auth, IdentityToken: a.IdentityToken, RegistryToken: a.RegistryToken}
			if found == none {
				continue
			}
			if c.CredentialsStore != "" || c.CredentialHelpers[host] != "" {
				return found, time.Now().Add(helperLife), nil
			}
			return found, never, nil
		}
		return none, never, nil
	}
}
