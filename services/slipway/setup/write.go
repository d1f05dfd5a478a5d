package setup

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/slipway-cd/slipway/shared/service"
)

// ErrExists says that the config is there already.
var ErrExists = errors.New("the config is there already")

// secretFile is where a source's secret lies.
func (a Answers) secretFile(source string) string {
	if a.Secrets == Credentials {
		return Credentials + source
	}
	return filepath.Join(a.Secrets, source)
}

// sources are those that have a secret of ours.
func (a Answers) sources() []string {
	var all []string
	if a.Registry.Provider != "aws-sns" && a.Registry.Email == "" {
		all = append(all, registrySource)
	}
	if a.Git.Provider != "aws-sns" {
		all = append(all, gitSource)
	}
	return all
}

// Write draws the secrets that aren't there yet and writes the config, which
// check must like: else neither is left behind. The error is [ErrExists] where a
// config is there and force doesn't say to write over it.
func (a Answers) Write(force bool, check func(service.Config) error) error {
	if _, err := os.Lstat(a.Config); err == nil && !force {
		return fmt.Errorf("%w: %s", ErrExists, a.Config)
	}
	if err := os.MkdirAll(filepath.Dir(a.Config), 0o755); err != nil {
		return fmt.Errorf("write the config: %w", err)
	}
	drawn, err := a.draw()
	if err == nil {
		err = a.place(check)
	}
	if err != nil {
		for _, file := range drawn {
			err = errors.Join(err, os.Remove(file))
		}
		_ = os.Remove(a.Secrets) // where it is empty now
	}
	return err
}

// draw makes the secrets; those that are there stay, since senders have them.
func (a Answers) draw() (drawn []string, err error) {
	if err := os.MkdirAll(a.Secrets, 0o700); err != nil {
		return nil, fmt.Errorf("make the secrets' folder: %w", err)
	}
	for _, source := range a.sources() {
		raw := make([]byte, 32)
		if _, err := rand.Read(raw); err != nil {
			return drawn, fmt.Errorf("draw a secret: %w", err)
		}
		file := a.secretFile(source)
		f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return drawn, fmt.Errorf("write a secret: %w", err)
		}
		drawn = append(drawn, file)
		_, err = f.WriteString(hex.EncodeToString(raw) + "\n")
		if err = errors.Join(err, f.Close()); err != nil {
			return drawn, fmt.Errorf("write a secret: %w", err)
		}
	}
	return drawn, nil
}

// place writes the config beside, reads it as `slipway up` will, and only then
// puts it where it belongs.
func (a Answers) place(check func(service.Config) error) error {
	beside, err := a.write()
	if err != nil {
		return fmt.Errorf("write the config: %w", err)
	}
	defer func() { os.Remove(beside) }()
	cfg, err := service.Load(beside)
	if err == nil {
		err = check(cfg)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInput, err)
	}
	if a.Systemd { // whose credentials are there when it runs
		os.Remove(beside)
		if beside, err = a.atRun().write(); err != nil {
			return fmt.Errorf("write the config: %w", err)
		}
	}
	if err := os.Rename(beside, a.Config); err != nil {
		return fmt.Errorf("write the config: %w", err)
	}
	return nil
}

// write writes the config under a name of its own, in the folder where it will
// be.
func (a Answers) write() (name string, err error) {
	text, err := a.Text()
	if err != nil {
		return "", err
	}
	f, err := os.CreateTemp(filepath.Dir(a.Config), ".slipway-init-*.yaml")
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		os.Remove(f.Name())
	}
	return f.Name(), err
}
