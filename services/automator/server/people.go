package server

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/shared/oidc"
	"github.com/slipway-cd/slipway/shared/service"
)

var (
	errWho = errors.New("the request shows no token of a person whom the automator's config names")
	// errNobody says that a right token makes no person.
	errNobody = errors.New("the token is right, but names no person")
	errIssuer = errors.New("the token's issuer can't be asked for its keys now: send it again")
)

// refused is why a token is nobody's, for the log alone: who sends it is told
// no more than [errWho].
type refused struct{ reason error }

func (r refused) Error() string { return r.reason.Error() }

// Is says that it stands for [errWho].
func (refused) Is(target error) bool { return target == errWho }

// Person is someone who may have a say.
type Person struct {
	Name   string
	Groups []string
	// Account is the issuer's for the person, whatever it is named; empty for
	// those whom the config names.
	Account string
}

// People know persons by their tokens: those of the config, and those of OIDC
// issuers.
type People struct {
	all     []known
	issuers []issuer
}

type known struct {
	Person
	token [sha256.Size]byte
}

// NewPeople reads the tokens of the config's people. Its issuers are asked
// nothing before one of their tokens comes.
func NewPeople(config service.Automator, now func() time.Time) (People, error) {
	var p People
	for i, c := range config.People {
		token, err := c.Token.Read()
		if err != nil {
			return p, fmt.Errorf("automator.people[%d].token: %w", i, err)
		}
		p.all = append(p.all, known{Person{Name: c.Name, Groups: c.Groups}, sha256.Sum256([]byte(token))})
	}
	var err error
	p.issuers, err = newIssuers(config.OIDC, now)
	return p, err
}

// Who gives the person of a request's bearer token. All tokens are compared,
// in constant time.
func (p People) Who(r *http.Request) (Person, error) {
	token, err := oidc.Bearer(r.Header)
	if err != nil {
		return Person{}, errWho
	}
	sum := sha256.Sum256([]byte(token))
	var who Person
	found := false
	for _, k := range p.all {
		if subtle.ConstantTimeCompare(sum[:], k.token[:]) == 1 {
			who, found = k.Person, true
		}
	}
	if found {
		return who, nil
	}
	return p.whoByIssuer(r.Context(), token)
}

// whoByIssuer asks the issuer of which the token claims to be, and no other.
func (p People) whoByIssuer(ctx context.Context, token string) (Person, error) {
	of := ""
	if len(p.issuers) > 0 && strings.Count(token, ".") == 2 {
		of = oidc.IssuerOf(token)
	}
	for _, i := range p.issuers {
		if of == "" || i.URL() != of {
			continue
		}
		claims, err := i.Verify(ctx, token, i.config.Audience)
		switch {
		case errors.Is(err, oidc.ErrToken):
			return Person{}, refused{fmt.Errorf("a token of %s: %w", i.URL(), err)}
		case err != nil:
			return Person{}, fmt.Errorf("%w: %w", errIssuer, err)
		}
		who, err := i.person(claims)
		if err != nil {
			return Person{}, fmt.Errorf("%w: %w", errNobody, err)
		}
		return who, nil
	}
	return Person{}, errWho
}
