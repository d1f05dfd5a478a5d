package lookup_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/slipway-cd/slipway/services/synchronizer/lookup"
	"github.com/slipway-cd/slipway/shared/kube"
	"github.com/slipway-cd/slipway/shared/render"
)

// apiServer answers as one does, with what a test has it say of one Secret.
type apiServer struct {
	code int
	body string
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	secret := func(name string) string {
		return `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"` + name + `"},"data":{"a":"` + strings.Repeat("Yg==", 64) + `"}}`
	}
	switch query := r.URL.Query(); {
	case r.URL.Path == "/api/v1":
		fmt.Fprint(w, `{"kind":"APIResourceList","groupVersion":"v1","resources":[{"name":"secrets/x","kind":"Secret"},{"name":"secrets","kind":"Secret","namespaced":true},{"name":"nodes","kind":"Node"}]}`)
	case r.URL.Path == "/api/v1/namespaces/shop/secrets/pw" && s.body != "":
		w.WriteHeader(s.code)
		fmt.Fprint(w, s.body)
	case r.URL.Path == "/api/v1/namespaces/shop/secrets" && query.Get("continue") == "":
		fmt.Fprint(w, `{"apiVersion":"v1","kind":"SecretList","metadata":{"resourceVersion":"7","continue":"c","remainingItemCount":1},"items":[`+secret("a")+`]}`)
	case r.URL.Path == "/api/v1/namespaces/shop/secrets":
		fmt.Fprint(w, `{"apiVersion":"v1","kind":"SecretList","metadata":{"resourceVersion":"7"},"items":[`+secret("b")+`]}`)
	default:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404,"message":"not found"}`)
	}
}

func answering(t *testing.T, s *apiServer) lookup.Cluster {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	clients, err := kube.New(&rest.Config{Host: server.URL, QPS: kube.DefaultQPS, Burst: kube.DefaultBurst})
	if err != nil {
		t.Fatal(err)
	}
	return lookup.Cluster{Mapper: clients.Mapper, Client: clients.Dynamic}
}

var pw = render.Lookup{APIVersion: "v1", Kind: "Secret", Namespace: "shop", Name: "pw"}

// Only the API server's own word is taken for a thing that isn't there.
func TestWhatCantBeFoundOutIsNotAbsent(t *testing.T) {
	t.Parallel()
	status := func(code int, reason string) *apiServer {
		return &apiServer{code, fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d,"message":"it says no"}`, reason, code)}
	}
	for name, c := range map[string]struct {
		server *apiServer
		words  string // none: it isn't there
	}{
		"not there":          {status(404, "NotFound"), ""},
		"a proxy's page":     {&apiServer{404, "<html>no such site</html>"}, "without a word of the API server"},
		"a path that's gone": {&apiServer{404, "404 page not found"}, "without a word of the API server"},
		"forbidden":          {status(403, "Forbidden"), "look up Secret shop/pw: the application's account may not: it says no"},
		"overloaded":         {status(503, "ServiceUnavailable"), "it says no"},
		"broken":             {status(500, "InternalError"), "it says no"},
		"unknown":            {status(401, "Unauthorized"), "it says no"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found, err := answering(t, c.server).Lookup(t.Context(), pw)
			if found != nil || c.words == "" && err != nil || c.words != "" && (err == nil || !strings.Contains(err.Error(), c.words)) {
				t.Errorf("%v, %v", found, err)
			}
		})
	}
	away := answering(t, &apiServer{})
	server := httptest.NewServer(nil)
	server.Close()
	clients, err := kube.New(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	away.Client = clients.Dynamic
	if found, err := away.Lookup(t.Context(), pw); found != nil || err == nil {
		t.Errorf("a server that is away gives %v, %v", found, err)
	}
	away.Mapper = clients.Mapper
	if found, err := away.Lookup(t.Context(), pw); found != nil || err == nil {
		t.Errorf("a server that is away gives %v, %v", found, err)
	}
}

func TestLookUpAsHelmDoes(t *testing.T) {
	t.Parallel()
	c := answering(t, &apiServer{200, `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"pw"},"data":{"n":"MQ=="}}`})
	found, err := c.Lookup(t.Context(), pw)
	if data, _ := found["data"].(map[string]any); err != nil || data["n"] != "MQ==" {
		t.Errorf("%v, %v", found, err)
	}
	list, err := c.Lookup(t.Context(), render.Lookup{APIVersion: "v1", Kind: "Secret", Namespace: "shop"})
	items, _ := list["items"].([]any)
	if meta, _ := list["metadata"].(map[string]any); err != nil || len(items) != 2 || len(meta) != 1 || meta["resourceVersion"] != "7" {
		t.Errorf("a list of two pages is %v, %v", list, err)
	}
	for name, q := range map[string]render.Lookup{
		"a kind that its version lacks":             {APIVersion: "v1", Kind: "Boat", Namespace: "shop", Name: "a"},
		"no namespace, for what lies in one":        {APIVersion: "v1", Kind: "Secret", Name: "pw"},
		"a namespace, for what lies in none":        {APIVersion: "v1", Kind: "Node", Namespace: "shop", Name: "pw"},
		"a thing that is not there":                 {APIVersion: "v1", Kind: "Secret", Namespace: "shop", Name: "none"},
		"a namespace without any, and no such path": {APIVersion: "v1", Kind: "Secret", Namespace: "none", Name: "pw"},
	} {
		if found, err := c.Lookup(t.Context(), q); found != nil || err != nil {
			t.Errorf("%s gives %v, %v", name, found, err)
		}
	}
	if _, err := c.Lookup(t.Context(), render.Lookup{APIVersion: "example.com/v1", Kind: "Boat", Name: "a"}); !errors.As(err, new(*kube.UnknownKindError)) {
		t.Errorf("a version that isn't served gives %v", err)
	}
	c.MostBytes = 300
	if _, err := c.Lookup(t.Context(), render.Lookup{APIVersion: "v1", Kind: "Secret", Namespace: "shop"}); err == nil || !strings.Contains(err.Error(), "longer than the limit of 300 bytes") {
		t.Errorf("a long list gives %v", err)
	}
}

// What may not be looked up is not asked for.
func TestAllowedGoesBeforeTheQuestion(t *testing.T) {
	t.Parallel()
	c := answering(t, &apiServer{200, `{"apiVersion":"v1","kind":"Secret"}`})
	no := errors.New("a Project says no")
	var asked render.Lookup
	c.Allowed = func(q render.Lookup, r kube.Resource) error {
		if asked = q; !r.Namespaced {
			return no
		}
		return nil
	}
	if found, err := c.Lookup(t.Context(), pw); err != nil || found == nil || asked != pw {
		t.Errorf("%v, %v, asked for %v", found, err, asked)
	}
	if _, err := c.Lookup(t.Context(), render.Lookup{APIVersion: "v1", Kind: "Node", Namespace: "shop", Name: "a"}); !errors.Is(err, no) || asked.Namespace != "" {
		t.Errorf("%v, asked for %v", err, asked)
	}
}
