package server

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/shared/oidc"
	"github.com/slipway-cd/slipway/shared/service"
)

// issuer makes persons of the accounts of one OIDC issuer.
type issuer struct {
	*oidc.Issuer
	config service.OIDCPersons
	// foreign are the prefixes of other issuers' names and groups that none of
	// this one's may begin with.
	foreignNames, foreignGroups []string
}

func newIssuers(config []service.OIDCPersons, now func() time.Time) ([]issuer, error) {
	var all []issuer
	for n, c := range config {
		roots, err := c.Roots()
		if err != nil {
			return nil, fmt.Errorf("automator.oidc[%d].ca: %w", n, err)
		}
		i := issuer{Issuer: oidc.New(c.Issuer, oidc.Options{Roots: roots, Now: now}), config: c}
		for _, other := range config {
			if other.Issuer == c.Issuer {
				continue
			}
			i.foreignNames = append(i.foreignNames, accountPrefix(other.Issuer))
			if p := other.NamePrefix; p != nil && len(*p) > len(i.namePrefix()) {
				i.foreignNames = append(i.foreignNames, *p)
			}
			if p := other.GroupsPrefix; p != nil && len(*p) > len(value(c.GroupsPrefix)) {
				i.foreignGroups = append(i.foreignGroups, *p)
			}
		}
		all = append(all, i)
	}
	return all, nil
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// accountPrefix stands before the name of an account that has no better one:
// only with its issuer is a subject one account's (OpenID Connect Core 1.0, 2).
func accountPrefix(issuer string) string { return issuer + "#" }

// byEmail says whether names are verified addresses.
func (i issuer) byEmail() bool { return i.config.NameClaim == "" || i.config.NameClaim == "email" }

func (i issuer) namePrefix() string {
	if i.config.NamePrefix == nil && !i.byEmail() {
		return accountPrefix(i.config.Issuer)
	}
	return value(i.config.NamePrefix)
}

// person is the one of verified claims.
func (i issuer) person(c oidc.Claims) (Person, error) {
	if c.Subject() == "" {
		return Person{}, errors.New("it has no subject (sub)")
	}
	p := Person{Account: accountPrefix(i.config.Issuer) + c.Subject()}
	var err error
	if p.Name, err = i.name(c, p.Account); err != nil {
		return Person{}, err
	}
	claim := cmp.Or(i.config.GroupsClaim, "groups")
	groups, err := c.List(claim)
	if err != nil {
		return Person{}, err
	}
	for _, g := range groups {
		if g == "" {
			continue
		}
		g = value(i.config.GroupsPrefix) + g
		if begins(g, i.foreignGroups) {
			return Person{}, fmt.Errorf("its group %q begins as another issuer's do", g)
		}
		p.Groups = append(p.Groups, g)
	}
	return p, nil
}

// name is the person's. An address that isn't verified is none: anybody could
// have said it.
func (i issuer) name(c oidc.Claims, account string) (string, error) {
	var name string
	email, verified := c.Email()
	switch {
	case i.byEmail() && verified:
		name = i.namePrefix() + email
	case i.config.NameClaim == "":
		return account, service.CheckPersonName(account)
	case i.byEmail():
		return "", errors.New("it has no verified address (email with email_verified)")
	default:
		found, _ := c.Find(i.config.NameClaim)
		text, ok := found.(string)
		if !ok || text == "" {
			return "", fmt.Errorf("its claim %s is no text", i.config.NameClaim)
		}
		name = i.namePrefix() + text
	}
	if begins(name, i.foreignNames) {
		return "", fmt.Errorf("the name %q begins as another issuer's do", name)
	}
	return name, service.CheckPersonName(name)
}

func begins(s string, with []string) bool {
	for _, prefix := range with {
		if strings.HasPrefix(s, prefix) {
			return true
		}
	}
	return false
}
