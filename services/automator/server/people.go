package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/slipway-cd/slipway/shared/service"
)

var errWho = errors.New("the request shows no token of a person whom the automator's config names")

// Person is someone who may have a say.
type Person struct {
	Name   string
	Groups []string
}

// People know persons by their tokens.
type People struct{ all []known }

type known struct {
	Person
	token [sha256.Size]byte
}

// NewPeople reads the tokens of the config's people.
func NewPeople(config []service.Person) (People, error) {
	var p People
	for i, c := range config {
		token, err := c.Token.Read()
		if err != nil {
			return p, fmt.Errorf("automator.people[%d].token: %w", i, err)
		}
		p.all = append(p.all, known{Person{c.Name, c.Groups}, sha256.Sum256([]byte(token))})
	}
	return p, nil
}

// Who gives the person of a request's bearer token. All tokens are compared,
// in constant time.
func (p People) Who(r *http.Request) (Person, error) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return Person{}, errWho
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
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
	if !found {
		return Person{}, errWho
	}
	return who, nil
}
