package api

import (
	"errors"
	"fmt"
	"regexp"
)

// Keyless wants a signature by an identity that a certificate authority of
// Sigstore's kind (Fulcio) has vouched for.
type Keyless struct {
	// Roots is the path, beside the policy's file, of a trusted root in
	// Sigstore's JSON form: the certificate authorities, transparency logs and
	// time stamping authorities that are believed. Empty: those of the config, which
	// are the public Sigstore's where it names no others.
	Roots string `json:"roots,omitempty"`
	// Identities are those who may sign; any of them suffices.
	Identities []Identity `json:"identities"`
}

// Identity is who signed: the subject of the certificate, such as a mail
// address or the address of a workflow, and the issuer that knows the subject.
// Of each pair exactly one is given. Expressions are Go's (RE2), and match the
// whole of what they are held against.
type Identity struct {
	Issuer        string `json:"issuer,omitempty"`
	IssuerRegExp  string `json:"issuerRegExp,omitempty"`
	Subject       string `json:"subject,omitempty"`
	SubjectRegExp string `json:"subjectRegExp,omitempty"`
}

// String names the identity.
func (i Identity) String() string {
	show := func(exact, expression string) string {
		if exact != "" {
			return exact
		}
		return "/" + expression + "/"
	}
	return show(i.Subject, i.SubjectRegExp) + " by " + show(i.Issuer, i.IssuerRegExp)
}

// Matches says whether a certificate for the subject by the issuer is the
// identity's. An identity with an expression that can't be read matches none.
func (i Identity) Matches(issuer, subject string) bool {
	return matches(i.Issuer, i.IssuerRegExp, issuer) && matches(i.Subject, i.SubjectRegExp, subject)
}

func matches(exact, expression, value string) bool {
	if exact != "" || expression == "" || value == "" {
		return exact != "" && exact == value
	}
	re, err := whole(expression)
	return err == nil && re.MatchString(value)
}

// whole compiles an expression that matches whole strings only. It must be one
// by itself: "a)|(b" is not.
func whole(expression string) (*regexp.Regexp, error) {
	if _, err := regexp.Compile(expression); err != nil {
		return nil, err
	}
	return regexp.Compile(`\A(?:` + expression + `)\z`)
}

// strangers are identities that nobody means: an expression that takes all of
// them takes anything.
var strangers = []string{
	"https://stranger.invalid/kZ2w9/q1Xv7t/wf.yml@refs/heads/7fQ", "qT5.x9+w@stranger.invalid", "spiffe://r8K.invalid/ns/3/sa/zz9",
	"8f14e45fceea167a5a36dedd4bea2543", "ÅÄÖ %&$ #|~ 0", "k3ZpQm7Lw0",
}

func anything(expression string) bool {
	re, err := whole(expression)
	if err != nil {
		return false
	}
	for _, s := range strangers {
		if !re.MatchString(s) {
			return false
		}
	}
	return true
}

func validateIdentities(identities []Identity) error {
	if len(identities) == 0 {
		return errors.New("identities is empty: name who may sign, else anybody could")
	}
	var faults []error
	for i, one := range identities {
		if err := one.Validate(); err != nil {
			faults = append(faults, fmt.Errorf("identities[%d]: %w", i, err))
		}
	}
	return errors.Join(faults...)
}

// Validate says what is wrong with an identity: one that anybody has, too.
func (i Identity) Validate() error {
	var faults []error
	for _, part := range []struct{ name, exact, expression string }{
		{"issuer", i.Issuer, i.IssuerRegExp}, {"subject", i.Subject, i.SubjectRegExp},
	} {
		if (part.exact == "") == (part.expression == "") {
			faults = append(faults, fmt.Errorf("give exactly one of %s and %sRegExp", part.name, part.name))
		}
		if _, err := whole(part.expression); err != nil {
			faults = append(faults, fmt.Errorf("%sRegExp: %w", part.name, err))
		}
	}
	if anything(i.IssuerRegExp) && anything(i.SubjectRegExp) {
		faults = append(faults, fmt.Errorf("issuerRegExp %q and subjectRegExp %q match anything: anybody could sign", i.IssuerRegExp, i.SubjectRegExp))
	}
	return errors.Join(faults...)
}
