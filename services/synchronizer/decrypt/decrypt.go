package decrypt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	"github.com/getsops/sops/v3/config"
	"github.com/getsops/sops/v3/keyservice"
	"github.com/getsops/sops/v3/logging"
	"github.com/getsops/sops/v3/stores/dotenv"
	"github.com/getsops/sops/v3/stores/ini"
	"github.com/getsops/sops/v3/stores/json"
	"github.com/getsops/sops/v3/stores/yaml"
	"github.com/sirupsen/logrus"

	"github.com/slipway-cd/slipway/shared/render"
)

// ErrTampered says that a file was changed after it was encrypted.
var ErrTampered = errors.New("its MAC doesn't match: it was changed without sops; restore it, or write it with sops again")

var _ render.Decrypter = (*Keys)(nil)

// quiet keeps SOPS from writing its own log.
var quiet = sync.OnceFunc(func() { logging.SetLevel(logrus.PanicLevel) })

// Decrypt implements [render.Decrypter].
func (k *Keys) Decrypt(ctx context.Context, format render.Format, data []byte) (plain []byte, values []string, err error) {
	quiet()
	defer func() {
		if r := recover(); r != nil { // SOPS's readers expect its own files
			plain, err = nil, errors.New("it can't be read as a file of SOPS")
		}
	}()
	store := storeOf(format)
	tree, err := store.LoadEncryptedFile(data)
	if err != nil {
		return nil, nil, errors.New("it can't be read as a file of SOPS: its metadata or its syntax is broken")
	}
	dataKey, err := k.dataKey(ctx, &tree)
	if err != nil {
		return nil, nil, err
	}
	cipher := &recorder{Cipher: aes.NewCipher()}
	mac, err := tree.Decrypt(dataKey, cipher)
	if err != nil {
		return nil, cipher.values, fmt.Errorf("%w (a value can't be decrypted)", ErrTampered)
	}
	original, err := aes.NewCipher().Decrypt(tree.Metadata.MessageAuthenticationCode, dataKey, tree.Metadata.LastModified.Format(time.RFC3339))
	if err != nil || mac == "" || original != mac {
		return nil, cipher.values, ErrTampered
	}
	plain, err = store.EmitPlainFile(tree.Branches)
	if err != nil {
		err = errors.New("its plain text can't be written")
	}
	return plain, cipher.values, err
}

func storeOf(format render.Format) interface {
	sops.EncryptedFileLoader
	sops.PlainFileEmitter
} {
	c := config.NewStoresConfig()
	switch format {
	case render.JSON:
		return json.NewStore(&c.JSON)
	case render.Dotenv:
		return dotenv.NewStore(&c.Dotenv)
	case render.INI:
		return ini.NewStore(&c.INI)
	case render.Binary:
		return json.NewBinaryStore(&c.JSONBinary)
	case render.YAML:
	}
	return yaml.NewStore(&c.YAML)
}

// dataKey asks the keys that we have for the one of the file.
func (k *Keys) dataKey(ctx context.Context, tree *sops.Tree) ([]byte, error) {
	service := &service{keys: k, ctx: ctx}
	key, err := tree.Metadata.GetDataKeyWithKeyServices([]keyservice.KeyServiceClient{service}, sops.DefaultDecryptionOrder)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err == nil:
		return key, nil
	}
	text := fmt.Sprintf("no key of %s opens it: it is encrypted for %s", k.from, recipients(tree.Metadata))
	if n := tree.Metadata.ShamirThreshold; n > 1 {
		text += fmt.Sprintf(" (%d groups of keys are needed)", n)
	}
	if len(service.faults) > 0 {
		text += ": " + strings.Join(slices.Compact(service.faults), "; ")
	}
	return nil, errors.New(text)
}

// maxRecipients is how many an error tells.
const maxRecipients = 5

// recipients names the public keys of a file.
func recipients(m sops.Metadata) string {
	var names []string
	for _, group := range m.KeyGroups {
		for _, key := range group {
			names = append(names, key.TypeToIdentifier()+" "+key.ToString())
		}
	}
	switch n := len(names); {
	case n == 0:
		return "nobody"
	case n > maxRecipients:
		names = append(names[:maxRecipients], fmt.Sprintf("%d more", n-maxRecipients))
	}
	return strings.Join(names, ", ")
}

// recorder notes what it decrypts.
type recorder struct {
	sops.Cipher
	values []string
}

func (r *recorder) Decrypt(text string, key []byte, additional string) (any, error) {
	plain, err := r.Cipher.Decrypt(text, key, additional)
	switch v := plain.(type) {
	case string:
		r.values = append(r.values, v)
	case []byte:
		r.values = append(r.values, string(v))
	case sops.Comment:
		r.values = append(r.values, v.Value)
	case int, float64:
		r.values = append(r.values, fmt.Sprint(v))
	}
	return plain, err
}
