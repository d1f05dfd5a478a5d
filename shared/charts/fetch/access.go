package fetch

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/slipway-cd/slipway/shared/api"
)

// Access is with whose credentials is asked. The zero value has none.
type Access struct {
	id             string // tells apart whose they are, and says nothing of them
	config         bool
	user, password string
	ca             []byte
}

// Config is the access of those who may use the config's credentials.
var Config = Access{id: "config", config: true}

// dockerHub is how Docker's own tools name it in a config.json.
const dockerHub = "https://index.docker.io/v1/"

// ErrCredentials says that a Secret has none that can be used.
var ErrCredentials = errors.New("it has no credentials that can be used")

// SecretAccess reads a Secret's values: username and password, or
// .dockerconfigjson with an entry for the repository's host; ca.crt, alone or
// beside them. The id tells it, and its versions, from others. It errs with
// [ErrCredentials], and names keys, never values.
func SecretAccess(id string, ref api.ChartRef, data map[string][]byte) (Access, error) {
	a := Access{id: "secret " + id, ca: data["ca.crt"]}
	if len(a.ca) > 0 && !x509.NewCertPool().AppendCertsFromPEM(a.ca) {
		return a, fmt.Errorf("%w: ca.crt has no certificate in PEM form", ErrCredentials)
	}
	user, password, config := data["username"], data["password"], data[".dockerconfigjson"]
	switch {
	case len(config) > 0 && len(user)+len(password) > 0:
		return a, fmt.Errorf("%w: it has username and .dockerconfigjson: keep one", ErrCredentials)
	case len(config) > 0:
		var err error
		a.user, a.password, err = fromDockerConfig(config, hostOf(ref.Repository))
		return a, err
	case len(user) > 0 && len(password) > 0:
		a.user, a.password = line(user), line(password)
		return a, nil
	case len(user)+len(password) > 0:
		return a, fmt.Errorf("%w: username and password belong together", ErrCredentials)
	case len(a.ca) == 0:
		return a, fmt.Errorf("%w: it has none of the keys username and password, .dockerconfigjson, ca.crt", ErrCredentials)
	}
	return a, nil
}

func line(value []byte) string { return strings.TrimRight(string(value), "\r\n") }

// fromDockerConfig reads the entry of a host. The programs that such a file may
// name are not run.
func fromDockerConfig(text []byte, host string) (user, password string, err error) {
	var file struct {
		Auths map[string]struct {
			Username string `json:"username"`
			Password string `json:"password"`
			Auth     string `json:"auth"`
		} `json:"auths"`
	}
	if json.Unmarshal(text, &file) != nil { // what it says may be a part of the secret
		return "", "", fmt.Errorf("%w: .dockerconfigjson is not JSON as Docker has it", ErrCredentials)
	}
	names := []string{host, "https://" + host, "http://" + host, "https://" + host + "/"}
	if host == "docker.io" || host == "registry-1.docker.io" || host == "index.docker.io" {
		names = append(names, dockerHub, "docker.io", "index.docker.io")
	}
	for _, name := range names {
		entry, found := file.Auths[name]
		if !found {
			continue
		}
		if entry.Auth != "" {
			decoded, err := base64.StdEncoding.DecodeString(entry.Auth)
			if err != nil {
				return "", "", fmt.Errorf("%w: auth of %s in .dockerconfigjson is not base64", ErrCredentials, name)
			}
			entry.Username, entry.Password, _ = strings.Cut(string(decoded), ":")
		}
		if entry.Username == "" || entry.Password == "" {
			return "", "", fmt.Errorf("%w: .dockerconfigjson has no user and password for %s", ErrCredentials, name)
		}
		return entry.Username, entry.Password, nil
	}
	return "", "", fmt.Errorf("%w: .dockerconfigjson has no entry for %s", ErrCredentials, host)
}
