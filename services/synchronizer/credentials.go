package synchronizer

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-cd/slipway/shared/gitrepo"
)

// ownOptions make of a Secret's values what reaches an address. The keys are
// those that Flux takes, and token. Errors name keys, never values.
func ownOptions(address string, data map[string][]byte) (gitrepo.Options, error) {
	o := gitrepo.Options{URL: address}
	has := func(key string) bool { return len(data[key]) > 0 }
	word := func(key string) string { return strings.TrimRight(string(data[key]), "\r\n") }
	o.CA = data["ca.crt"]
	if !has("ca.crt") {
		o.CA = data["caFile"]
	}
	if bySSH(address) {
		switch {
		case !has("identity"):
			return o, missingKey("identity", "a private SSH key", address)
		case !has("known_hosts"):
			return o, missingKey("known_hosts", "the host's keys, as ssh-keyscan writes them", address)
		}
		o.CA = nil // Flux's users have it beside the key, and nobody reads it
		o.SSH = &gitrepo.SSHKey{Key: data["identity"], Passphrase: []byte(word("password")), KnownHosts: data["known_hosts"]}
		return o, nil
	}
	var ways []string
	for _, key := range []string{"bearerToken", "token", "password"} {
		if has(key) {
			ways = append(ways, key)
		}
	}
	switch {
	case len(ways) > 1:
		return o, fmt.Errorf("it has the keys %s: keep one", strings.Join(ways, " and "))
	case slices.Equal(ways, []string{"bearerToken"}):
		o.Bearer = word("bearerToken")
	case slices.Equal(ways, []string{"token"}):
		o.User, o.Password = word("username"), word("token")
	case slices.Equal(ways, []string{"password"}):
		if !has("username") {
			return o, missingKey("username", "beside password", address)
		}
		o.User, o.Password = word("username"), word("password")
	case has("identity"):
		return o, errors.New("it has an SSH key, and the repository's address is not ssh://: write ssh:// there, or give username and password, token or bearerToken")
	case len(o.CA) == 0:
		return o, errors.New("it has none of the keys username and password, token, bearerToken, identity and known_hosts, ca.crt")
	}
	return o, nil
}

func missingKey(key, what, address string) error {
	scheme, _, known := strings.Cut(address, "://")
	if !known {
		scheme = "ssh"
	}
	return fmt.Errorf("it has no key %s (%s), which an %s:// address needs", key, what, scheme)
}

// bySSH says whether an address is reached by SSH: also user@host:path, as Git
// takes it.
func bySSH(address string) bool {
	return strings.HasPrefix(address, "ssh://") || !strings.Contains(address, "://")
}
