package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"text/template"

	authmodel "code.gitea.io/gitea/models/auth"
	usermodel "code.gitea.io/gitea/models/user"
	"code.gitea.io/gitea/modules/generate"
	"code.gitea.io/gitea/modules/optional"
)

// host is one folder with a Gitea in it.
type host struct {
	dir, assets string
	state       state
}

// state is what outlives a restart, in githost.json.
type state struct {
	Ready
	Secret        string `json:"secret"`
	InternalToken string `json:"internalToken"`
	JWTSecret     string `json:"jwtSecret"`
}

// Ready is the line that says how to use the host.
type Ready struct {
	URL      string `json:"url"`
	User     string `json:"user"`
	Password string `json:"password"`
	Token    string `json:"token"`
}

func (h *host) stateFile() string { return filepath.Join(h.dir, "githost.json") }

// load reads the state of the last time or draws a new one.
func (h *host) load(listen string) error {
	if err := os.MkdirAll(h.dir, 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	text, err := os.ReadFile(h.stateFile())
	switch {
	case err == nil:
		if err := json.Unmarshal(text, &h.state); err != nil {
			return fmt.Errorf("read %s: %w", h.stateFile(), err)
		}
	case errors.Is(err, fs.ErrNotExist):
		internal, err := generate.NewInternalToken()
		if err != nil {
			return fmt.Errorf("draw the internal token: %w", err)
		}
		_, jwt := generate.NewJwtSecretWithBase64()
		h.state = state{
			Ready:  Ready{User: "slipway", Password: rand.Text()},
			Secret: rand.Text() + rand.Text(), InternalToken: internal, JWTSecret: jwt,
		}
	default:
		return fmt.Errorf("read the state of the last time: %w", err)
	}
	address, err := h.address(listen)
	if err != nil {
		return err
	}
	h.state.URL = "http://" + address
	return h.save()
}

// address takes the last time's port where none is asked for and it is free.
func (h *host) address(listen string) (string, error) {
	wanted, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", fmt.Errorf("read --listen: %w", err)
	}
	if port == "0" && h.state.URL != "" {
		before := strings.TrimPrefix(h.state.URL, "http://")
		if last, _, err := net.SplitHostPort(before); err == nil && last == wanted {
			if address, err := free(before); err == nil {
				return address, nil
			}
		}
	}
	return free(listen)
}

func (h *host) save() error {
	text, err := json.MarshalIndent(h.state, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the state: %w", err)
	}
	if err := os.WriteFile(h.stateFile(), append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("keep the state: %w", err)
	}
	return nil
}

// createAdmin makes the administrator and a token in the database that the serving
// Gitea, in this process, has open.
func (h *host) createAdmin(ctx context.Context) error {
	admin := &usermodel.User{
		Name: h.state.User, Email: h.state.User + "@example.com", Passwd: h.state.Password,
		IsAdmin: true, Type: usermodel.UserTypeIndividual,
	}
	err := usermodel.CreateUser(ctx, admin, &usermodel.Meta{}, &usermodel.CreateUserOverwriteOptions{IsActive: optional.Some(true)})
	if usermodel.IsErrUserAlreadyExist(err) {
		// The last start ended between the two steps.
		admin, err = usermodel.GetUserByName(ctx, h.state.User)
	}
	if err != nil {
		return fmt.Errorf("create the user %s: %w", h.state.User, err)
	}
	token := &authmodel.AccessToken{Name: "e2e-" + rand.Text(), UID: admin.ID, Scope: authmodel.AccessTokenScopeAll}
	if err := authmodel.NewAccessToken(ctx, token); err != nil {
		return fmt.Errorf("create an access token: %w", err)
	}
	h.state.Token = token.Token
	return h.save()
}

// config is app.ini: offline, silent, and webhooks may go to this machine.
var config = template.Must(template.New("app.ini").Parse(`APP_NAME = Slipway e2e
RUN_MODE = prod
RUN_USER = {{.RunUser}}
WORK_PATH = {{.Dir}}
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true

[server]
PROTOCOL = http
HTTP_ADDR = {{.Host}}
HTTP_PORT = {{.Port}}
ROOT_URL = {{.URL}}/
LOCAL_ROOT_URL = {{.URL}}/
APP_DATA_PATH = {{.Dir}}/data
STATIC_ROOT_PATH = {{.Assets}}
DISABLE_SSH = true
SSH_CREATE_AUTHORIZED_KEYS_FILE = false
LFS_START_SERVER = false
OFFLINE_MODE = true

[database]
DB_TYPE = sqlite3
PATH = {{.Dir}}/gitea.db
SQLITE_JOURNAL_MODE = WAL
SQLITE_TIMEOUT = 5000

[repository]
ROOT = {{.Dir}}/repositories
DEFAULT_BRANCH = main

[security]
INSTALL_LOCK = true
SECRET_KEY = {{.Secret}}
INTERNAL_TOKEN = {{.InternalToken}}
PASSWORD_HASH_ALGO = pbkdf2_v1

[oauth2]
ENABLED = false
JWT_SECRET = {{.JWTSecret}}

[service]
DISABLE_REGISTRATION = true

[webhook]
ALLOWED_HOST_LIST = loopback,private
DELIVER_TIMEOUT = 2

[mailer]
ENABLED = false

[cron]
ENABLED = false

[cron.update_checker]
ENABLED = false

[picture]
DISABLE_GRAVATAR = true
ENABLE_FEDERATED_AVATAR = false

[indexer]
ISSUE_INDEXER_TYPE = db
REPO_INDEXER_ENABLED = false

[actions]
ENABLED = false

[packages]
ENABLED = false

[log]
MODE = console
LEVEL = Warn
ROOT_PATH = {{.Dir}}/log
`))

func (h *host) writeConfig() (string, error) {
	address := strings.TrimPrefix(h.state.URL, "http://")
	name, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("read the address %s: %w", address, err)
	}
	me, err := user.Current()
	if err != nil {
		return "", fmt.Errorf("find who runs Gitea: %w", err)
	}
	var text strings.Builder
	if err := config.Execute(&text, map[string]string{
		"RunUser": me.Username, "Dir": h.dir, "Assets": h.assets, "Host": name, "Port": port,
		"URL": h.state.URL, "Secret": h.state.Secret, "InternalToken": h.state.InternalToken, "JWTSecret": h.state.JWTSecret,
	}); err != nil {
		return "", fmt.Errorf("write app.ini: %w", err)
	}
	path := filepath.Join(h.dir, "app.ini")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		return "", fmt.Errorf("write app.ini: %w", err)
	}
	return path, nil
}
