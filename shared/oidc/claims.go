package oidc

import (
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/golang-jwt/jwt/v5"
)

// Claims are what a token says.
type Claims map[string]any

// read are claims as jwt's parser reads and judges them.
type read struct{ jwt.MapClaims }

func (r *read) UnmarshalJSON(data []byte) error {
	return (*Claims)(&r.MapClaims).UnmarshalJSON(data)
}

// UnmarshalJSON reads one object strictly: a name that is there twice, or
// text that isn't UTF-8, could be read in another way by somebody else.
func (c *Claims) UnmarshalJSON(data []byte) error {
	var all map[string]any
	if err := json.Unmarshal(data, &all); err != nil {
		return fmt.Errorf("read the claims: %w", err)
	}
	*c = all
	return nil
}

// Subject is sub: the issuer gives it to one account, for ever.
func (c Claims) Subject() string {
	sub, _ := c["sub"].(string)
	return sub
}

// Find gives the claim of that name. A name with dots that is none itself is
// a way through nested claims, such as realm_access.roles.
func (c Claims) Find(name string) (any, bool) {
	if v, ok := c[name]; ok {
		return v, true
	}
	var at any = map[string]any(c)
	for part := range strings.SplitSeq(name, ".") {
		inner, ok := at.(map[string]any)
		if !ok {
			return nil, false
		}
		if at, ok = inner[part]; !ok {
			return nil, false
		}
	}
	return at, true
}

// Email is the address that the issuer has verified; without that it is only
// what somebody has said. Some issuers write email_verified as text.
func (c Claims) Email() (string, bool) {
	email, _ := c["email"].(string)
	verified := c["email_verified"]
	return email, email != "" && (verified == true || verified == "true")
}

// List gives the texts of a claim that is a list of texts, or one text; none
// where there is no such claim.
func (c Claims) List(name string) ([]string, error) {
	v, ok := c.Find(name)
	if !ok || v == nil {
		return nil, nil
	}
	switch v := v.(type) {
	case string:
		return []string{v}, nil
	case []any:
		var all []string
		for _, item := range v {
			text, ok := item.(string)
			if !ok {
				return nil, fmt.Errorf("the claim %s has an item that is no text", name)
			}
			all = append(all, text)
		}
		return all, nil
	}
	return nil, fmt.Errorf("the claim %s is neither a list of texts nor a text", name)
}
