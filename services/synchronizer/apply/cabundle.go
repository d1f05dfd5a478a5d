package apply

import (
	"encoding/base64"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/util/cert"
)

// bundles are where kinds have the certificates by which the API server knows who it calls;
// a list on the way stands for each of its items.
var bundles = map[schema.GroupKind][]string{
	{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}:               {"spec", "conversion", "webhook", "clientConfig"},
	{Group: "admissionregistration.k8s.io", Kind: "ValidatingWebhookConfiguration"}: {"webhooks", "clientConfig"},
	{Group: "admissionregistration.k8s.io", Kind: "MutatingWebhookConfiguration"}:   {"webhooks", "clientConfig"},
	{Group: "apiregistration.k8s.io", Kind: "APIService"}:                           {"spec"},
}

// withoutPlaceholders leaves to an injector, such as cert-manager's, what stands in the
// place of the certificate that it puts there ("Cg==" in many charts). It can't be of use
// by itself: a definition isn't served with it, and what was injected would be changed back.
func withoutPlaceholders(u *unstructured.Unstructured) {
	if path, has := bundles[u.GroupVersionKind().GroupKind()]; has {
		dropPlaceholder(u.Object, path)
	}
}

func dropPlaceholder(at any, path []string) {
	switch at := at.(type) {
	case []any:
		for _, item := range at {
			dropPlaceholder(item, path)
		}
	case map[string]any:
		if len(path) > 0 {
			dropPlaceholder(at[path[0]], path[1:])
			return
		}
		if text, is := at["caBundle"].(string); is && !certificates(text) {
			delete(at, "caBundle")
		}
	}
}

func certificates(text string) bool {
	pem, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return true // the API server says what is wrong with it
	}
	_, err = cert.ParseCertsPEM(pem)
	return err == nil
}
