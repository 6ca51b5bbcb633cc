package i18n

// advice is a cause and its remedy, in both languages.
type advice struct{ cause, remedy pair }

// What is said again and again.
var (
	forged = pair{
		"Không tiếp nhận bằng thẻ này. Đề nghị giấy tờ khác và làm theo quy định của cơ sở về thẻ giả.",
		"Do not accept this card. Ask for another document, and follow the rule for forged cards.",
	}
	otherWay = pair{
		"Đặt lại thẻ một lần nữa. Nếu vẫn vậy, tiếp nhận không dùng chip (F2).",
		"Put the card back once more. If it stays so, check in without the chip (F2).",
	}
	withoutChip = pair{"Tiếp nhận không dùng chip (F2).", "Check in without the chip (F2)."}
	tellIT      = pair{"Báo bộ phận IT.", "Tell IT."}
	kept        = pair{
		"Không mất lượt nào: lượt khám vẫn nằm trong máy này. Báo bộ phận IT.",
		"Nothing is lost: the visits stay on this computer. Tell IT.",
	}
)

// faults are the codes of the agent's failures. A test compares the list with the
// agent's own.
var faults = map[string]advice{
	"internal": {
		pair{"Chương trình gặp lỗi chưa rõ nguyên nhân.", "The program met an error that it does not know."},
		pair{"Thử lại. Nếu vẫn lỗi, báo bộ phận IT.", "Try again. If it stays so, tell IT."},
	},
	"usage": {pair{"Chương trình không hiểu yêu cầu này.", "The request was not understood."}, tellIT},

	"dg1_altered": {
		pair{"Họ tên, ngày sinh hoặc số trên chip đã bị sửa.", "The name, date or number on the chip was altered."},
		forged,
	},
	"dg13_altered": {pair{"Thông tin cá nhân trên chip đã bị sửa.", "The personal data on the chip was altered."}, forged},
	"security_object_invalid": {
		pair{"Chữ ký của cơ quan cấp trên chip không đúng.", "The issuer's signature on the chip does not hold."},
		forged,
	},
	"signer_expired": {
		pair{"Chứng thư đã ký thẻ này không còn hạn vào lúc kiểm tra.", "The certificate that signed this card is not valid today."},
		pair{
			"Xem lại ngày giờ của máy tính. Nếu đúng, không coi thẻ này là đã xác thực.",
			"Check this computer's date and time. If they are right, do not accept the card as verified.",
		},
	},
	"issuer_unknown": {
		pair{
			"Chưa xác minh được cơ quan cấp thẻ: máy chưa có chứng thư gốc.",
			"Issuer not verified: no root certificate loaded.",
		},
		pair{
			"Thẻ chưa chắc thật, cũng chưa chắc giả. Tiếp nhận không dùng chip (F2), và báo IT nạp chứng thư gốc.",
			"The card is neither verified nor forged. Check in without the chip (F2), and have IT load the root certificate.",
		},
	},
	"chip_copied": {pair{"Chip là bản sao của một thẻ khác.", "The chip is a copy of another card."}, forged},
	"photo_altered": {
		pair{"Ảnh trên chip không phải ảnh mà cơ quan cấp đã ký.", "The photo on the chip is not the one that the issuer signed."},
		forged,
	},
	"document_expired": {
		pair{"Thẻ đã hết hạn.", "The card has expired."},
		pair{"Đề nghị giấy tờ còn hạn, hoặc tiếp nhận không dùng chip (F2).", "Ask for a valid document, or check in without the chip (F2)."},
	},
	"data_mismatch": {
		pair{"Hai phần dữ liệu trên chip ghi số khác nhau.", "Two parts of the chip hold different numbers."},
		pair{"Không coi thẻ này là đã xác thực. Tiếp nhận không dùng chip (F2) và báo IT.", "Do not accept it as verified. Check in without the chip (F2) and tell IT."},
	},
	"issuer_invalid": {
		pair{"Thẻ mạo danh cơ quan cấp: cơ quan đó không ký thẻ này.", "The card names an issuer that did not sign it."},
		forged,
	},
	"signer_revoked": {
		pair{"Chứng thư đã ký thẻ này đã bị thu hồi.", "The certificate that signed this card was revoked."},
		pair{"Không coi thẻ này là đã xác thực. Tiếp nhận không dùng chip (F2).", "Do not accept it as verified. Check in without the chip (F2)."},
	},
	"other_document": {
		pair{"Chip chứa dữ liệu của một thẻ khác với mã vừa quét.", "The chip holds another card's data than the code that was scanned."},
		forged,
	},
	"card_security_invalid": {pair{"Chữ ký trên khoá của chip không đúng.", "The signature over the chip's key does not hold."}, forged},
	"photo_withheld": {
		pair{"Chip không đưa ra ảnh mà cơ quan cấp đã ký.", "The chip keeps back the photo that its issuer signed."},
		pair{"Đặt lại thẻ. Nếu vẫn vậy, không coi thẻ này là đã xác thực.", "Put the card back. If it stays so, do not accept it as verified."},
	},
	"offer_altered": {
		pair{"Chip khai cách bảo vệ khác với điều cơ quan cấp đã ký.", "What the chip says of its protection is not what was signed."},
		pair{"Thử đầu đọc khác. Nếu vẫn vậy, không coi thẻ này là đã xác thực.", "Try another reader. If it stays so, do not accept it as verified."},
	},
	"weak_algorithm": {
		pair{"Thẻ dùng cách ký quá cũ, cơ sở không còn chấp nhận.", "The card's signature is of an old kind that this site no longer accepts."},
		withoutChip,
	},
	"not_verified": {pair{"Một bước kiểm tra bắt buộc chưa làm được.", "A check that this site requires was not made."}, otherWay},

	"wrong_key": {
		pair{"Mã quét không khớp với thẻ này.", "The code does not belong to this card."},
		pair{
			"Kiểm tra có đúng thẻ của người bệnh, hoặc nhập ngày hết hạn in trên thẻ.",
			"Check that it is the patient's card, or type its expiry date.",
		},
	},
	"card_removed": {
		pair{"Thẻ bị nhấc ra quá sớm.", "The card was lifted too early."},
		pair{"Đặt lại thẻ, không cần quét lại mã.", "Put it back; no need to scan again."},
	},
	"access_refused":  {pair{"Thẻ không cho mở chip.", "The card did not let its chip be opened."}, otherWay},
	"card_unreadable": {pair{"Thẻ trả lời không đúng dữ liệu cần đọc.", "The card did not answer with its data."}, otherWay},
	"no_security_object": {
		pair{"Chip không có chữ ký của cơ quan cấp, không thể xác thực.", "The chip has no signature of its issuer: nothing on it can be verified."},
		withoutChip,
	},
	"key_blocked": {
		pair{"Chip không nhận số này nữa vì đã nhập sai nhiều lần.", "The chip takes this number no more: it was wrong too often."},
		pair{"Quét mã QR hoặc nhập dòng chữ máy đọc ở mặt sau thẻ.", "Scan the QR code, or type the lines on the card's back."},
	},

	"bad_mrz": {
		pair{"Dòng chữ máy đọc còn thiếu hoặc sai.", "The machine readable lines are incomplete or wrong."},
		pair{"Nhập lại đúng như in ở mặt sau thẻ.", "Type them again as printed on the card's back."},
	},
	"bad_qr": {
		pair{"Mã này không phải mã QR của thẻ căn cước, hoặc bị thiếu.", "This is not a citizen card's QR code, or it is incomplete."},
		pair{"Quét lại mã QR trên thẻ.", "Scan the QR code on the card again."},
	},
	"bad_can": {
		pair{"Số truy cập thẻ phải gồm 6 chữ số.", "The card access number has six digits."},
		pair{"Nhập đúng như in trên thẻ.", "Type it as printed on the card."},
	},
	"no_can": {
		pair{"Thẻ này không có số truy cập.", "This card has no access number."},
		pair{"Quét mã QR hoặc nhập dòng chữ máy đọc.", "Scan the QR code or type the machine readable lines."},
	},

	"no_pcsc_service": {
		pair{"Dịch vụ thẻ thông minh của máy tính chưa chạy.", "The computer's smart card service is not running."},
		pair{"Cắm đầu đọc vào. Nếu vẫn vậy, báo IT bật dịch vụ “Smart Card”.", "Plug the reader in. If it stays so, have IT start the service “Smart Card”."},
	},
	"no_reader": {
		pair{"Chưa thấy đầu đọc thẻ.", "No card reader found."},
		pair{"Kiểm tra dây USB.", "Check the USB cable."},
	},
	"no_card": {pair{"Chưa có thẻ trên đầu đọc.", "There is no card on the reader."}, pair{"Đặt thẻ lên đầu đọc.", "Put the card on the reader."}},
	"reader_busy": {
		pair{"Đầu đọc đang được chương trình khác sử dụng.", "The reader is in use by another program."},
		pair{"Đóng chương trình đó, hoặc nhấc thẻ ra rồi đặt lại.", "Close that program, or lift the card and put it back."},
	},
	"reader_hung": {pair{"Đầu đọc không trả lời.", "The reader stopped answering."}, pair{"Rút đầu đọc ra rồi cắm lại.", "Unplug the reader and plug it in again."}},
	"limits_full": {
		pair{"Máy không còn chỗ ghi nhớ về các loại thẻ và đầu đọc.", "There is no room to remember more kinds of cards and readers."},
		tellIT,
	},
	"reader_too_short": {
		pair{"Đầu đọc này không đủ khả năng mở chip của thẻ này.", "This reader cannot open this card's chip."},
		pair{"Dùng đầu đọc khác, hoặc tiếp nhận không dùng chip (F2).", "Use another reader, or check in without the chip (F2)."},
	},
	"reader_breaks_off": {
		pair{"Đầu đọc làm đứt dữ liệu của thẻ.", "The reader breaks long answers of the card off."},
		pair{"Đặt thẻ nằm phẳng. Nếu vẫn vậy, báo IT cài trình điều khiển của hãng.", "Lay the card flat. If it stays so, have IT install the maker's driver."},
	},

	"store_newer": {
		pair{"Dữ liệu do phiên bản mới hơn của chương trình ghi.", "The data was written by a newer version of this program."},
		pair{"Báo IT cài phiên bản mới. Dữ liệu không bị thay đổi.", "Have IT install the newer version. The data was not touched."},
	},
	"store_locked":  {pair{"Dữ liệu đang được một chương trình khác sử dụng.", "The data is in use by another program."}, tellIT},
	"store_damaged": {pair{"Tệp dữ liệu bị hỏng.", "The data file is damaged."}, pair{"Không xoá gì. Báo IT ngay.", "Delete nothing. Tell IT at once."}},
	"cannot_record": {
		pair{"CHƯA ghi nhận được lượt khám: không ghi được vào ổ đĩa.", "The visit was NOT recorded: the disk could not be written."},
		pair{"Tiếp nhận theo cách thủ công và báo IT ngay.", "Check the patient in by hand and tell IT at once."},
	},
	"bad_key_file": {pair{"Khoá của dữ liệu bị thiếu hoặc không dùng được.", "A key of the data is missing or cannot be used."}, kept},
	"data_exposed": {pair{"Mọi người dùng máy này đều sửa được dữ liệu.", "Everybody on this computer may change the data."}, tellIT},
	"visit_damaged": {
		pair{"Có lượt khám bị hỏng dữ liệu, chưa gửi được.", "Some visits are damaged and cannot be sent."},
		pair{"Không xoá gì. Báo IT ngay.", "Delete nothing. Tell IT at once."},
	},
	"store_trouble": {pair{"Chưa đọc hoặc ghi được hàng chờ gửi.", "The queue of visits could not be read or written."}, kept},
	"not_recorded": {
		pair{"CHƯA ghi nhận được lượt khám.", "The visit was NOT recorded."},
		pair{"Tiếp nhận theo cách thủ công và báo IT.", "Check the patient in by hand and tell IT."},
	},
	"perhaps_recorded": {
		pair{"Ổ đĩa lỗi giữa chừng: lượt khám có thể đã hoặc chưa được ghi nhận.", "The disk failed: the visit may or may not be recorded."},
		pair{"Xem danh sách hôm nay (F3) trước khi tiếp nhận lại.", "Look at today's list (F3) before checking in again."},
	},

	"central_unreachable": {
		pair{"Chưa kết nối được với BHXH.", "The insurer cannot be reached."},
		pair{"Không mất lượt nào: máy tự gửi khi có mạng.", "Nothing is lost: visits are sent when the link is back."},
	},
	"visit_rejected": {
		pair{"BHXH từ chối lượt khám này.", "The insurer rejected this visit."},
		pair{"Xem lý do, sửa rồi tiếp nhận lại.", "Look at the reason, correct it and check in again."},
	},
	"visit_waiting": {
		pair{"Đã ghi nhận, đang chờ BHXH trả lời.", "Recorded; waiting for the insurer's answer."},
		pair{"Không cần làm gì thêm.", "Nothing needs doing."},
	},
	"bad_central_address": {pair{"Địa chỉ máy chủ BHXH trong cấu hình không dùng được.", "The address of the central service cannot be used."}, tellIT},
	"central_refuses":     {pair{"Máy chủ BHXH chưa biết máy này.", "The central service does not know this desk."}, kept},
	"central_untrusted": {
		pair{"Máy chủ không chứng minh được là của BHXH.", "The central service could not prove who it is."},
		pair{"Kiểm tra ngày giờ máy tính và báo IT. Không gửi gì, không mất gì.", "Check this computer's clock and tell IT. Nothing is sent, nothing is lost."},
	},
	"central_full":      {pair{"Máy chủ BHXH hết chỗ chứa.", "The central service has no room for visits."}, kept},
	"central_silent":    {pair{"Máy chủ BHXH không trả lời.", "The central service does not answer."}, kept},
	"central_malformed": {pair{"Máy chủ BHXH gửi dữ liệu sai định dạng.", "The central service sent something that is not understood."}, kept},
	"visit_too_large":   {pair{"Một lượt khám lớn hơn mức máy chủ nhận.", "A visit is larger than the server takes."}, kept},
	"visit_foreign":     {pair{"Có lượt khám của cơ sở hoặc máy khác, máy này không được gửi.", "A visit was recorded by another desk, and this one may not send it."}, kept},
	"enrolment_refused": {
		pair{"Mã đăng ký máy không được chấp nhận.", "The enrolment code was not accepted."},
		pair{"Xin mã mới và nhập cả dòng đi kèm.", "Ask for a new code and give the whole line that comes with it."},
	},
	"enrolment_later": {
		pair{"Máy chủ tạm ngừng nhận mã đăng ký.", "The central service takes no enrolment codes for the moment."},
		pair{"Chờ vài phút rồi thử lại.", "Wait some minutes and try again."},
	},

	"evidence_invalid": {pair{"Bằng chứng của lượt khám không đúng.", "The evidence of a visit does not hold."}, tellIT},
	"bad_export_file":  {pair{"Tệp này không phải tệp lượt khám đã xuất.", "The file is not one of exported visits."}, tellIT},
	"audit_broken": {
		pair{"Nhật ký truy cập không còn nguyên vẹn.", "The audit trail is not as it was written."},
		pair{"Giữ nguyên máy và báo người phụ trách bảo vệ dữ liệu.", "Leave the computer as it is, and tell who is responsible for data protection."},
	},
	"keyring_trouble": {pair{"Chưa mở được kho khoá của máy tính.", "The computer's keyring cannot be used or is locked."}, kept},
	"data_erased":     {pair{"Dữ liệu cũ trên máy này đã được xoá vĩnh viễn.", "The data on this computer was erased for good."}, tellIT},
	"visits_unsent": {
		pair{"Còn lượt khám chưa được BHXH nhận.", "There are visits that the insurer has not accepted yet."},
		pair{"Gửi xong rồi mới xoá.", "Send them first."},
	},

	"bad_trust_file":  {pair{"Tệp chứng thư không đọc được.", "A file of trusted certificates cannot be read."}, tellIT},
	"trust_refused":   {pair{"Tệp chứng thư không có ai đáng tin xác nhận.", "Nobody who is trusted here vouches for the file of certificates."}, tellIT},
	"trust_damaged":   {pair{"Kho chứng thư gốc bị hỏng, không dùng được.", "The store of root certificates is damaged, and none of it is believed."}, tellIT},
	"trust_exposed":   {pair{"Mọi người dùng máy này đều sửa được kho chứng thư, nên không tin được.", "Everybody on this computer may change the root certificates, so none is believed."}, tellIT},
	"trust_attention": {pair{"Một số chứng thư hoặc danh sách thu hồi đã cũ.", "Some certificates or revocation lists are out of date."}, tellIT},
	"trust_unusable":  {pair{"Chưa mở được kho chứng thư gốc.", "The store of root certificates cannot be opened."}, tellIT},

	"bundle_refused":   {pair{"Danh sách của cơ quan bảo hiểm bị từ chối: chữ ký không đúng hoặc không đầy đủ.", "A list of the insurer was refused: it is not properly signed, or not whole."}, tellIT},
	"config_invalid":   {pair{"Cấu hình của máy này có lỗi.", "The configuration cannot be used."}, tellIT},
	"policy_exposed":   {pair{"Người dùng thường sửa được chính sách của máy, nên không tin được.", "Others than the administrators may change this computer's policy, so it is not believed."}, tellIT},
	"port_in_use":      {pair{"Một chương trình khác chiếm cổng của chamthe.", "Another program uses the port of chamthe."}, tellIT},
	"service_trouble":  {pair{"Hệ điều hành không làm theo yêu cầu với dịch vụ.", "The system did not do what was asked of the service."}, tellIT},
	"training_refused": {pair{"Không được dùng thẻ mẫu với máy chủ thật.", "Sample cards may not be used with a real central service."}, tellIT},

	"abandoned": {
		pair{"Lượt này đã dừng vì lâu không có thao tác.", "The check-in was given up because nobody did anything for a while."},
		pair{"Bắt đầu lại. Chưa ghi nhận gì.", "Begin again. Nothing was recorded."},
	},
	"person_mismatch": {
		pair{"Người bệnh không phải người trên giấy tờ.", "The person at the desk is not the one on the document."},
		pair{"Chưa ghi nhận gì. Làm theo quy định của cơ sở.", "Nothing was recorded. Follow the site's rule."},
	},
	"bad_input": {
		pair{"Thông tin nhập hoặc quét còn thiếu hoặc sai.", "Something that was typed or scanned is missing or wrong."},
		pair{"Kiểm tra lại từng ô rồi thử lại.", "Look at each field and try again."},
	},
	"means_refused": {
		pair{"Cơ sở không tiếp nhận bằng cách này.", "This site does not take people in this way."},
		pair{"Dùng thẻ gắn chip, hoặc hỏi IT.", "Use the chip of the card, or ask IT."},
	},

	"doctor_found": {pair{"Bản kiểm tra thấy điều cản trở bàn tiếp đón.", "The doctor found something that keeps the desk from working."}, tellIT},

	// What the local API itself refuses: those that the desk can meet.
	"bad_request": {
		pair{"Thông tin gửi đi còn thiếu hoặc sai.", "Something is missing or wrong in what was sent."},
		pair{"Kiểm tra lại từng ô rồi thử lại.", "Look at each field and try again."},
	},
	"no_token": {pair{"Máy này không còn quyền dùng dịch vụ chamthe.", "This desk may not use the chamthe service any more."}, tellIT},
	"sign_in_denied": {
		pair{"Tên hoặc mã PIN không đúng.", "Name or PIN is wrong."},
		pair{"Nhập lại, hoặc hỏi người đặt mã PIN.", "Type them again, or ask who set the PIN."},
	},
	"client_fixed": {pair{"Phần mềm này do IT cấu hình.", "IT entered this program."}, pair{"Báo IT nếu cần bỏ.", "Ask IT to take it out."}},
	"not_found":    {pair{"Không còn lượt này.", "There is no such thing any more."}, pair{"Bắt đầu lại.", "Start again."}},
	"checkin_busy": {
		pair{"Đầu đọc đang phục vụ phần mềm bệnh viện.", "The hospital's program is using the reader."},
		pair{"Thử lại sau giây lát.", "Try again in a moment."},
	},
	"wrong_state": {pair{"Bước này không còn làm được nữa.", "This step is over."}, pair{"Xem màn hình đang chờ điều gì.", "See what the screen is waiting for."}},
	"operator_required": {
		pair{"Chưa có ai đăng nhập bàn tiếp đón.", "Nobody is signed in at the desk."},
		pair{"Đăng nhập rồi xác nhận lại.", "Sign in, then confirm again."},
	},
	"clients_full": {pair{"Đã đủ số phần mềm được dùng đầu đọc này.", "No more programs can be allowed."}, pair{"Thu hồi phần mềm không còn dùng (F10).", "Revoke one that is not used any more (F10)."}},
	"too_many":     {pair{"Quá nhiều yêu cầu cùng lúc.", "There were too many requests."}, pair{"Chờ vài giây rồi thử lại.", "Wait some seconds and try again."}},
	"not_ready":    {pair{"Dịch vụ chamthe chưa sẵn sàng.", "The chamthe service is not ready."}, pair{"Thử lại sau giây lát.", "Try again in a moment."}},

	"cancelled": {pair{"Đã dừng giữa chừng.", "It was interrupted."}, pair{"Bắt đầu lại.", "Start again."}},
}
