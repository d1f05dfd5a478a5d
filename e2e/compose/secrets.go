package compose

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// drawn are the secrets that are made here; those that Gitea makes come later.
var drawn = []string{"bus", "registry-hook", "git-hook", "git-admin", "maria", "gitea-key", "gitea-internal", "gitea-jwt", "registry-http"}

// drawSecrets makes what is missing, and the files that have secrets in them.
//
// The folder is the owner's alone. The files in it can be read by all, since the
// containers that they are mounted into run as other users.
func (p *Project) drawSecrets() error {
	if err := os.MkdirAll(p.Local, 0o700); err != nil {
		return fmt.Errorf("make the folder of the secrets: %w", err)
	}
	for _, name := range drawn {
		_, err := os.Stat(filepath.Join(p.Local, name))
		if err == nil {
			continue
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("look for the secret %s: %w", name, err)
		}
		value := random()
		if name == "gitea-jwt" {
			value = jwtKey() // Gitea wants 32 bytes in base64
		}
		if err := p.keep(name, value+"\n"); err != nil {
			return err
		}
	}
	bus, err := p.secret("bus")
	if err != nil {
		return err
	}
	if err := p.keep("nats-token.conf", fmt.Sprintf("authorization {token: %q}\n", bus)); err != nil {
		return err
	}
	return p.registryConfig()
}

// registryConfig puts the secrets into Distribution's configuration, which has no other
// way to take them that doesn't show them to whoever may list containers.
func (p *Project) registryConfig() error {
	text, err := os.ReadFile(filepath.Join(p.Root, "deploy/compose/registry.yaml"))
	if err != nil {
		return fmt.Errorf("read the registry's configuration: %w", err)
	}
	filled := string(text)
	for key, name := range map[string]string{"${REGISTRY_HOOK}": "registry-hook", "${REGISTRY_HTTP}": "registry-http"} {
		value, err := p.secret(name)
		if err != nil {
			return err
		}
		if !strings.Contains(filled, key) {
			return fmt.Errorf("deploy/compose/registry.yaml has no %s: without it the registry's webhooks are refused", key)
		}
		filled = strings.ReplaceAll(filled, key, value)
	}
	return p.keep("registry.yaml", filled)
}

func (p *Project) secret(name string) (string, error) {
	text, err := os.ReadFile(filepath.Join(p.Local, name))
	if err != nil {
		return "", fmt.Errorf("read the secret %s: %w", name, err)
	}
	return strings.TrimSpace(string(text)), nil
}

// keep writes a file in place: containers see the file that they were started with.
func (p *Project) keep(name, text string) error {
	if err := os.WriteFile(filepath.Join(p.Local, name), []byte(text), 0o644); err != nil { //nolint:gosec // the folder is closed
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func random() string {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails (crypto/rand)
	return hex.EncodeToString(raw)
}

func jwtKey() string {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(raw)
}
