package os

import (
	"encoding/json"
	stdos "os"

	"github.com/ringfile/ringfile"
)

// ReportEnv names the environment variable with the name of the file for the report. The variable
// is taken away at once, so that processes which the tests start write none.
const ReportEnv = "RINGFILE_OSCONFORM_REPORT"

// Report is what the process says about its engine when it exits: on which route the tests ran.
type Report struct {
	Backend string
	Stats   ringfile.Stats
}

var reportTo = func() string {
	name := stdos.Getenv(ReportEnv)
	if err := stdos.Unsetenv(ReportEnv); err != nil {
		panic(err)
	}
	return name
}()

// Exit is os.Exit, behind the report if one is asked for.
func Exit(code int) {
	if reportTo != "" {
		if err := report(); err != nil {
			panic(err)
		}
	}
	stdos.Exit(code)
}

func report() error {
	e, err := ringfile.Default()
	if err != nil {
		return err
	}
	text, err := json.Marshal(Report{Backend: e.Backend().String(), Stats: e.Stats()})
	if err != nil {
		return err
	}
	return stdos.WriteFile(reportTo, text, 0o666)
}
