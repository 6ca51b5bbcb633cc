; The Windows setup of chamthe: agent, service and desk. Built by .ci/package.
;
;   chamthe-setup.exe                     asks, in Vietnamese or English
;   chamthe-setup.exe /S [properties]     asks nothing
;     /SERVER=tls://host:4222             the central server       } all three enrol this
;     /CASHA256=hex                       its certificate authority } computer; without
;     /CODE=code                          the one-time code        } them it is done later
;     /CODEFILE=file                      the code in a file, so that no list of processes shows it
;     /UI=0                               without the desk
;     /D=directory                        where to; the last one, without quotes
;
; Exit codes: 0 done; 1 given up by the user; 2 could not be installed; 3 installed,
; and the service could not be made or started; 4 installed, and enrolling failed.
; What happened stands in %ProgramData%\chamthe\setup.log, without the code.
;
; Defined on the command line: VERSION, BIN (folder of the programs), OUT, ICON,
; SIGN (a command that signs %1, or nothing), DESK (defined: the desk is in it).

Target amd64-unicode ; the 32-bit default installs nothing on some systems
Unicode true
SetCompressor /SOLID lzma
ManifestDPIAware true
RequestExecutionLevel admin

!include MUI2.nsh
!include LogicLib.nsh
!include FileFunc.nsh
!include nsDialogs.nsh
!include x64.nsh

Name "chamthe ${VERSION}"
OutFile "${OUT}"
InstallDir "$PROGRAMFILES64\chamthe"
InstallDirRegKey HKLM "Software\chamthe" "InstallDir"
BrandingText "chamthe ${VERSION}"
!ifdef SIGN
  !finalize '${SIGN} "%1"'
  !uninstfinalize '${SIGN} "%1"'
!endif

VIProductVersion "${NUMERIC}"
VIAddVersionKey /LANG=0 "ProductName" "chamthe"
VIAddVersionKey /LANG=0 "ProductVersion" "${VERSION}"
VIAddVersionKey /LANG=0 "FileVersion" "${VERSION}"
VIAddVersionKey /LANG=0 "FileDescription" "chamthe setup"
VIAddVersionKey /LANG=0 "LegalCopyright" "chamthe developers, Apache-2.0"

!define UNINSTALL "Software\Microsoft\Windows\CurrentVersion\Uninstall\chamthe"
!define MUI_ICON "${ICON}"
!define MUI_UNICON "${ICON}"
!define MUI_ABORTWARNING

Var Server
Var CaSha256
Var Code
Var CodeFile
Var UI
Var Data
Var Log
Var Trouble
Var Dialog
Var FieldServer
Var FieldCa
Var FieldCode
Var FieldUI

!insertmacro MUI_PAGE_LICENSE "${LICENCE}"
!insertmacro MUI_PAGE_DIRECTORY
Page custom AskEnrolment LeaveEnrolment
!insertmacro MUI_PAGE_INSTFILES
!insertmacro MUI_PAGE_FINISH
!insertmacro MUI_UNPAGE_CONFIRM
!insertmacro MUI_UNPAGE_INSTFILES
!insertmacro MUI_LANGUAGE "Vietnamese"
!insertmacro MUI_LANGUAGE "English"

LangString TextTitle ${LANG_VIETNAMESE} "Kết nối với cơ quan bảo hiểm"
LangString TextTitle ${LANG_ENGLISH} "Link to the insurer"
LangString TextSub ${LANG_VIETNAMESE} "Dán dòng ghi danh do cơ quan bảo hiểm cấp. Có thể bỏ trống và ghi danh sau."
LangString TextSub ${LANG_ENGLISH} "Fill in what came with the enrolment code. It may be left empty and done later."
LangString TextServer ${LANG_VIETNAMESE} "Địa chỉ máy chủ (tls://...:4222)"
LangString TextServer ${LANG_ENGLISH} "Server (tls://...:4222)"
LangString TextCa ${LANG_VIETNAMESE} "Dấu vân chứng thư (SHA-256)"
LangString TextCa ${LANG_ENGLISH} "Fingerprint of its certificates (SHA-256)"
LangString TextCode ${LANG_VIETNAMESE} "Mã ghi danh dùng một lần"
LangString TextCode ${LANG_ENGLISH} "One-time enrolment code"
LangString TextUI ${LANG_VIETNAMESE} "Cài chương trình bàn tiếp đón trên máy này"
LangString TextUI ${LANG_ENGLISH} "Install the reception desk's program on this computer"
LangString TextService ${LANG_VIETNAMESE} "Đã cài, nhưng dịch vụ chưa chạy. Xem 'chamthe doctor'."
LangString TextService ${LANG_ENGLISH} "Installed, but the service does not run. See 'chamthe doctor'."
LangString TextEnrol ${LANG_VIETNAMESE} "Đã cài, nhưng chưa ghi danh được. Có thể chạy lại 'chamthe enrol'."
LangString TextEnrol ${LANG_ENGLISH} "Installed, but enrolling failed. 'chamthe enrol' may be run again."
LangString TextKept ${LANG_VIETNAMESE} "Các lượt khám vẫn được giữ trong"
LangString TextKept ${LANG_ENGLISH} "The visits stay in"

!macro Say TEXT
  FileOpen $Log "$Data\setup.log" a
  FileSeek $Log 0 END
  FileWriteUTF16LE $Log "${TEXT}$\r$\n"
  FileClose $Log
!macroend

Function .onInit
  ${GetParameters} $R0
  ClearErrors
  ${GetOptions} $R0 "/SERVER=" $Server
  ${GetOptions} $R0 "/CASHA256=" $CaSha256
  ${GetOptions} $R0 "/CODE=" $Code
  ${GetOptions} $R0 "/CODEFILE=" $CodeFile
  StrCpy $UI 1
  ClearErrors
  ${GetOptions} $R0 "/UI=" $R1
  ${IfNot} ${Errors}
    StrCpy $UI $R1
  ${EndIf}
  ReadEnvStr $Data ProgramData
  ${If} $Data == ""
    SetShellVarContext all
    StrCpy $Data $APPDATA
  ${EndIf}
  StrCpy $Data "$Data\chamthe"
  SetRegView 64
  ${IfNot} ${RunningX64}
    SetErrorLevel 2
    Abort
  ${EndIf}
FunctionEnd

Function AskEnrolment
  !insertmacro MUI_HEADER_TEXT "$(TextTitle)" "$(TextSub)"
  nsDialogs::Create 1018
  Pop $Dialog
  ${NSD_CreateLabel} 0 0u 100% 10u "$(TextServer)"
  Pop $0
  ${NSD_CreateText} 0 11u 100% 13u "$Server"
  Pop $FieldServer
  ${NSD_CreateLabel} 0 30u 100% 10u "$(TextCa)"
  Pop $0
  ${NSD_CreateText} 0 41u 100% 13u "$CaSha256"
  Pop $FieldCa
  ${NSD_CreateLabel} 0 60u 100% 10u "$(TextCode)"
  Pop $0
  ${NSD_CreateText} 0 71u 100% 13u "$Code"
  Pop $FieldCode
!ifdef DESK
  ${NSD_CreateCheckbox} 0 95u 100% 12u "$(TextUI)"
  Pop $FieldUI
  ${If} $UI != 0
    ${NSD_Check} $FieldUI
  ${EndIf}
!endif
  nsDialogs::Show
FunctionEnd

Function LeaveEnrolment
  ${NSD_GetText} $FieldServer $Server
  ${NSD_GetText} $FieldCa $CaSha256
  ${NSD_GetText} $FieldCode $Code
!ifdef DESK
  ${NSD_GetState} $FieldUI $UI
!endif
FunctionEnd

Section "chamthe"
  SetShellVarContext all
  SetRegView 64
  CreateDirectory "$Data"
  !insertmacro Say "chamthe ${VERSION}: setup"

  ; An older one stops before its files change. Its queue stays where it is.
  ${If} ${FileExists} "$INSTDIR\chamthe.exe"
    nsExec::Exec '"$INSTDIR\chamthe.exe" service stop'
    Pop $0
    !insertmacro Say "service stop: $0"
  ${EndIf}

  SetOutPath "$INSTDIR"
  ClearErrors
  File "${BIN}\chamthe.exe"
  File "/oname=LICENSE.txt" "${LICENCE}"
!ifdef DESK
  ${If} $UI != 0
    File "${BIN}\chamthe-desk.exe"
    CreateShortCut "$SMPROGRAMS\chamthe.lnk" "$INSTDIR\chamthe-desk.exe"
    CreateShortCut "$DESKTOP\chamthe.lnk" "$INSTDIR\chamthe-desk.exe"
  ${Else}
    Delete "$INSTDIR\chamthe-desk.exe"
    Delete "$SMPROGRAMS\chamthe.lnk"
    Delete "$DESKTOP\chamthe.lnk"
  ${EndIf}
!endif
  ${If} ${Errors}
    !insertmacro Say "files: could not be written"
    SetErrorLevel 2
    Abort
  ${EndIf}
  WriteUninstaller "$INSTDIR\uninstall.exe"
  WriteRegStr HKLM "Software\chamthe" "InstallDir" "$INSTDIR"
  WriteRegStr HKLM "${UNINSTALL}" "DisplayName" "chamthe"
  WriteRegStr HKLM "${UNINSTALL}" "DisplayVersion" "${VERSION}"
  WriteRegStr HKLM "${UNINSTALL}" "Publisher" "chamthe developers"
  WriteRegStr HKLM "${UNINSTALL}" "DisplayIcon" "$INSTDIR\chamthe.exe"
  WriteRegStr HKLM "${UNINSTALL}" "InstallLocation" "$INSTDIR"
  WriteRegStr HKLM "${UNINSTALL}" "UninstallString" '"$INSTDIR\uninstall.exe"'
  WriteRegStr HKLM "${UNINSTALL}" "QuietUninstallString" '"$INSTDIR\uninstall.exe" /S'
  WriteRegDWORD HKLM "${UNINSTALL}" "NoModify" 1
  WriteRegDWORD HKLM "${UNINSTALL}" "NoRepair" 1

  ; Nobody but the system, administrators and the service sees the data.
  CreateDirectory "$Data\data"
  nsExec::Exec 'icacls "$Data\data" /inheritance:r /grant *S-1-5-18:(OI)(CI)F /grant *S-1-5-32-544:(OI)(CI)F'
  Pop $0
  !insertmacro Say "permissions: $0"
  ${IfNot} ${FileExists} "$Data\config.yaml"
    nsExec::Exec '"$INSTDIR\chamthe.exe" config init --file "$Data\config.yaml"'
    Pop $0
    !insertmacro Say "config init: $0"
  ${EndIf}

  StrCpy $Trouble 0
  ${If} $Server != ""
    ${If} $CodeFile == ""
      ; The code goes through a file that only this program sees, not through a
      ; command line that everybody does.
      GetTempFileName $CodeFile
      FileOpen $1 $CodeFile w
      FileWrite $1 "$Code$\r$\n"
      FileClose $1
      StrCpy $2 1
    ${EndIf}
    nsExec::ExecToStack 'cmd.exe /d /c ""$INSTDIR\chamthe.exe" enrol --data "$Data\data" --server "$Server" --ca-sha256 "$CaSha256" --code - < "$CodeFile""'
    Pop $0
    Pop $1
    !insertmacro Say "enrol: $0"
    ${If} $2 == 1
      Delete $CodeFile
    ${EndIf}
    ${If} $0 != 0
      StrCpy $Trouble 4
      DetailPrint "$(TextEnrol)"
    ${EndIf}
  ${EndIf}

  nsExec::Exec '"$INSTDIR\chamthe.exe" service install --config "$Data\config.yaml"'
  Pop $0
  !insertmacro Say "service install: $0"
  ${If} $0 == 0
    nsExec::Exec '"$INSTDIR\chamthe.exe" service start'
    Pop $0
    !insertmacro Say "service start: $0"
  ${EndIf}
  ${If} $0 != 0
    DetailPrint "$(TextService)"
    ${If} $Trouble == 0
      StrCpy $Trouble 3
    ${EndIf}
  ${EndIf}
  SetErrorLevel $Trouble
SectionEnd

Function un.onInit
  ReadEnvStr $Data ProgramData
  StrCpy $Data "$Data\chamthe"
FunctionEnd

Section "Uninstall"
  SetShellVarContext all
  SetRegView 64
  nsExec::Exec '"$INSTDIR\chamthe.exe" service stop'
  Pop $0
  nsExec::Exec '"$INSTDIR\chamthe.exe" service uninstall'
  Pop $0
  Delete "$INSTDIR\chamthe.exe"
  Delete "$INSTDIR\chamthe-desk.exe"
  Delete "$INSTDIR\LICENSE.txt"
  Delete "$INSTDIR\uninstall.exe"
  RMDir "$INSTDIR"
  Delete "$SMPROGRAMS\chamthe.lnk"
  Delete "$DESKTOP\chamthe.lnk"
  DeleteRegKey HKLM "${UNINSTALL}"
  DeleteRegKey HKLM "Software\chamthe"
  DetailPrint "$(TextKept) $Data"
SectionEnd
