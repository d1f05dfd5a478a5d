// Package gitconfig makes mirrors' options and signers of what the config
// says, for all services that keep mirrors.
package gitconfig

import (
	"fmt"
	"os"

	"github.com/slipway-cd/slipway/shared/gitrepo"
	"github.com/slipway-cd/slipway/shared/service"
)

// Options are those of a config repo's mirror, without its folder. Secrets
// are read now; credentials that the repository doesn't name are those of the
// config's longest prefix that fits.
func Options(cfg service.Config, r service.Repository) (gitrepo.Options, error) {
	o := gitrepo.Options{URL: r.URL, Branch: r.Branch, Proxy: r.Proxy}
	c := cfg.GitCredentials(r.URL, r.Credentials)
	var err error
	if o.CA, err = secret("ca", r.CA); err != nil {
		return o, err
	}
	if o.User, o.Password, err = c.Basic(); err != nil {
		return o, fmt.Errorf("credentials: %w", err)
	}
	if c.SSH != nil {
		if o.SSH, err = ssh(*c.SSH); err != nil {
			return o, fmt.Errorf("credentials.ssh: %w", err)
		}
	}
	if c.GitHubApp != nil {
		if o.App, err = app(*c.GitHubApp, o); err != nil {
			return o, fmt.Errorf("credentials.githubApp: %w", err)
		}
	}
	return o, nil
}

func ssh(c service.SSH) (*gitrepo.SSHKey, error) {
	key, err := whole("key", c.Key)
	if err != nil {
		return nil, err
	}
	passphrase, err := secret("passphrase", c.Passphrase)
	if err != nil {
		return nil, err
	}
	if c.KnownHosts == nil {
		return &gitrepo.SSHKey{Key: key, Passphrase: passphrase}, nil
	}
	known, err := c.KnownHosts.Read()
	if err != nil {
		return nil, fmt.Errorf("knownHosts: %w", err)
	}
	return &gitrepo.SSHKey{Key: key, Passphrase: passphrase, KnownHosts: []byte(known)}, nil
}

// app goes the same way as the repository itself.
func app(c service.GitHubApp, o gitrepo.Options) (*gitrepo.GitHubApp, error) {
	key, err := whole("privateKey", c.PrivateKey)
	if err != nil {
		return nil, err
	}
	return gitrepo.NewGitHubApp(gitrepo.AppOptions{
		ID: c.AppID, Installation: c.InstallationID, PrivateKey: key, Endpoint: c.Endpoint, CA: o.CA, Proxy: o.Proxy,
	})
}

// Signer signs commits as the config says; nil where it says nothing.
func Signer(c service.Commit) (gitrepo.Signer, error) {
	if c.Sign == nil {
		return nil, nil
	}
	passphrase, err := secret("passphrase", c.Sign.Passphrase)
	if err != nil {
		return nil, fmt.Errorf("automator.commit.sign: %w", err)
	}
	read, from, name := gitrepo.NewSSHSigner, c.Sign.SSH, "ssh"
	if c.Sign.OpenPGP != nil {
		read, from, name = gitrepo.NewOpenPGPSigner, c.Sign.OpenPGP, "openpgp"
	}
	key, err := whole(name, from)
	if err != nil {
		return nil, fmt.Errorf("automator.commit.sign: %w", err)
	}
	s, err := read(key, passphrase)
	if err != nil {
		return nil, fmt.Errorf("automator.commit.sign.%s: %w", name, err)
	}
	return s, nil
}

// whole reads a key that may be missing. Of a binary one the last byte may be
// a line feed.
func whole(name string, s *service.Secret) ([]byte, error) {
	value, err := secret(name, s)
	if err != nil || s == nil || s.File == "" {
		return value, err
	}
	if value, err = os.ReadFile(s.File); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return value, nil
}

// secret reads one that may be missing.
func secret(name string, s *service.Secret) ([]byte, error) {
	if s == nil {
		return nil, nil
	}
	value, err := s.Read()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return []byte(value), nil
}
