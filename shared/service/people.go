package service

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/slipway-cd/slipway/shared/oidc"
)

// OIDCPersons are people whom an issuer of OpenID Connect tokens knows.
type OIDCPersons struct {
	Issuer   string `yaml:"issuer"`   // as its tokens write it
	Audience string `yaml:"audience"` // whom its tokens must be for: its client id of Slipway
	// NameClaim says which claim is the person's name; a way through nested
	// claims has dots. Empty is email where the issuer has verified it, else sub.
	NameClaim string `yaml:"nameClaim"`
	// NamePrefix stands before names. Without it names have none that are
	// verified addresses, and others have "<issuer>#".
	NamePrefix *string `yaml:"namePrefix"`
	// GroupsClaim says which claim has the person's groups; default groups.
	GroupsClaim string `yaml:"groupsClaim"`
	// GroupsPrefix stands before groups; default none.
	GroupsPrefix *string `yaml:"groupsPrefix"`
	CA           *Secret `yaml:"ca"` // certificates in PEM form, beside the system's
}

// Roots are the certificates that the issuer's must lead to; nil is the
// system's.
func (o OIDCPersons) Roots() (*x509.CertPool, error) {
	if o.CA == nil {
		return nil, nil //nolint:nilnil // as crypto/tls has it
	}
	text, err := o.CA.Read()
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a machine without certificates of its own
	}
	if !pool.AppendCertsFromPEM([]byte(text)) {
		return nil, errors.New("there is no certificate in PEM")
	}
	return pool, nil
}

// maxName bounds the name of a person or group, in bytes.
const maxName = 256

// CheckPersonName gives the fault of a person's name: it stands in commits, in
// rules beside groups, and on people's screens.
func CheckPersonName(name string) error {
	switch {
	case name == "":
		return errors.New("there is no name")
	case len(name) > maxName:
		return fmt.Errorf("the name is longer than %d bytes", maxName)
	case strings.HasPrefix(name, "group:"):
		return fmt.Errorf("the name %q would be a group", name)
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) || r == unicode.ReplacementChar }):
		return fmt.Errorf("%q is not a name without blanks", name)
	}
	return nil
}

func (c Config) validatePeople(f *faults) {
	names, tokens := map[string]bool{}, map[string]bool{}
	for i, p := range c.Automator.People {
		at := fmt.Sprintf("automator.people[%d]", i)
		if err := CheckPersonName(p.Name); err != nil {
			f.add(at+".name", "%w", err)
		}
		// Letters in another case make no second person.
		if names[strings.ToLower(p.Name)] {
			f.add(at+".name", "%q is there twice", p.Name)
		}
		names[strings.ToLower(p.Name)] = true
		token, err := p.Token.Read()
		switch {
		case err != nil:
			f.add(at+".token", "%w", err)
		case len(token) < minToken:
			f.add(at+".token", "it is shorter than %d bytes: make one by `openssl rand -hex 32`", minToken)
		case tokens[token]:
			f.add(at+".token", "it is another person's too")
		}
		tokens[token] = true
	}
	c.validateOIDC(f)
}

func (c Config) validateOIDC(f *faults) {
	all, issuers := c.Automator.OIDC, map[string]bool{}
	for i, o := range all {
		at := fmt.Sprintf("automator.oidc[%d]", i)
		if err := oidc.CheckURL(o.Issuer); err != nil {
			f.add(at+".issuer", "%w", err)
		}
		if issuers[o.Issuer] {
			f.add(at+".issuer", "%q is there twice", o.Issuer)
		}
		issuers[o.Issuer] = true
		if o.Audience == "" {
			f.add(at+".audience", "name the audience that tokens for Slipway have: those for anything else are refused")
		}
		if _, err := o.Roots(); err != nil {
			f.add(at+".ca", "%w", err)
		}
		// Two issuers never make one person, or one group, without that being
		// said.
		if len(all) > 1 && o.NamePrefix == nil && (o.NameClaim == "" || o.NameClaim == "email") {
			f.add(at+".namePrefix", `say it where there are several issuers, else who has one's address is another's person, too: "" if that is meant`)
		}
		if len(all) > 1 && o.GroupsPrefix == nil {
			f.add(at+".groupsPrefix", `say it where there are several issuers, else one's groups are another's, too: "" if that is meant`)
		}
	}
}
