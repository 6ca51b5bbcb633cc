package config

import (
	"path/filepath"

	"golang.org/x/sys/windows"
)

// onlyAdministrators checks that a file and the directory that it is in belong to
// the system or its administrators. Users may make files below %ProgramData%, and
// what they make is theirs: ownership tells. What access an administrator gives away
// on purpose is not looked at.
func onlyAdministrators(name string) error {
	for _, n := range []string{name, filepath.Dir(name)} {
		sd, err := windows.GetNamedSecurityInfo(n, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION)
		if err != nil {
			return err
		}
		owner, _, err := sd.Owner()
		if err != nil {
			return err
		}
		if !owner.IsWellKnown(windows.WinLocalSystemSid) && !owner.IsWellKnown(windows.WinBuiltinAdministratorsSid) && owner.String() != trustedInstaller {
			return ErrExposed
		}
	}
	return nil
}

// trustedInstaller is the service that owns what came with the system.
const trustedInstaller = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"
