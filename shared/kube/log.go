package kube

import (
	"io"
	"log/slog"

	"k8s.io/klog/v2"
)

// LogTo makes client-go write its lines to w as the services write theirs.
// client-go has one logger for the whole process and nothing guards it: main
// calls LogTo before anything else.
func LogTo(w io.Writer) {
	klog.SetSlogLogger(slog.New(slog.NewJSONHandler(w, nil)).With("from", "client-go"))
}
