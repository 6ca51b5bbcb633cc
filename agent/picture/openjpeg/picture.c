/*
 * What the sandbox shows to its host: room for one picture, one call that
 * decodes it, and an account of what came out. Everything else about the
 * picture (whether its sizes are bearable, how components become colours) is
 * decided outside, in Go, by code that cannot overrun anything.
 *
 * An instance decodes one picture and is thrown away; nothing is ever freed.
 */
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "openjpeg.h"

#define EXPORT(name) __attribute__((export_name(name)))

/* Answers of decode, known to sandbox.go as well. */
enum { DECODED = 0, NO_MEMORY = 1, BAD_HEADER = 2, TOO_LARGE = 3, BAD_DATA = 4 };

enum { MAX_COMPONENTS = 4, HEAD = 6, PER_COMPONENT = 8 };

/*
 * width, height, x0, y0, colour space, number of components; then of each component:
 * width, height, dx, dy, bits, signed, alpha, address of its samples (int32).
 */
static uint32_t account[HEAD + MAX_COMPONENTS * PER_COMPONENT];

struct input {
	const uint8_t *data;
	size_t len, at;
};

static OPJ_SIZE_T input_read(void *to, OPJ_SIZE_T n, void *user)
{
	struct input *in = user;
	size_t left = in->len - in->at;
	if (left == 0)
		return (OPJ_SIZE_T)-1;
	if (n > left)
		n = left;
	memcpy(to, in->data + in->at, n);
	in->at += n;
	return n;
}

static OPJ_OFF_T input_skip(OPJ_OFF_T n, void *user)
{
	struct input *in = user;
	if (n < 0 || (uint64_t)n > in->len - in->at)
		return -1;
	in->at += (size_t)n;
	return n;
}

static OPJ_BOOL input_seek(OPJ_OFF_T to, void *user)
{
	struct input *in = user;
	if (to < 0 || (uint64_t)to > in->len)
		return OPJ_FALSE;
	in->at = (size_t)to;
	return OPJ_TRUE;
}

/* room returns n bytes for the host to write the picture to, or 0. */
EXPORT("room") void *room(uint32_t n)
{
	return malloc(n);
}

/*
 * decode decodes the n bytes at data, a JP2 file (jp2 != 0) or a codestream.
 * The host has looked at the sizes that the codestream states; they are
 * compared here once more as the library understands them, before it sets any
 * room aside for samples.
 */
EXPORT("decode") int decode(const uint8_t *data, uint32_t n, int jp2, uint32_t max_side, uint32_t max_pixels)
{
	struct input in = { data, n, 0 };
	opj_dparameters_t parameters;
	opj_image_t *image = NULL;
	opj_codec_t *codec = opj_create_decompress(jp2 ? OPJ_CODEC_JP2 : OPJ_CODEC_J2K);
	opj_stream_t *stream = opj_stream_create(4096, OPJ_TRUE);
	if (!codec || !stream)
		return NO_MEMORY;
	opj_stream_set_user_data(stream, &in, NULL);
	opj_stream_set_user_data_length(stream, n);
	opj_stream_set_read_function(stream, input_read);
	opj_stream_set_skip_function(stream, input_skip);
	opj_stream_set_seek_function(stream, input_seek);

	opj_set_default_decoder_parameters(&parameters);
	if (!opj_setup_decoder(codec, &parameters) || !opj_decoder_set_strict_mode(codec, OPJ_TRUE))
		return NO_MEMORY;
	if (!opj_read_header(stream, codec, &image) || !image || image->x1 <= image->x0 || image->y1 <= image->y0)
		return BAD_HEADER;
	uint32_t width = image->x1 - image->x0, height = image->y1 - image->y0;
	if (image->numcomps < 1 || image->numcomps > MAX_COMPONENTS || width > max_side || height > max_side ||
	    (uint64_t)width * height > max_pixels)
		return TOO_LARGE;
	if (!opj_decode(codec, stream, image) || !opj_end_decompress(codec, stream))
		return BAD_DATA;
	/* A palette adds components. */
	if (image->numcomps < 1 || image->numcomps > MAX_COMPONENTS)
		return TOO_LARGE;

	account[0] = width;
	account[1] = height;
	account[2] = image->x0;
	account[3] = image->y0;
	account[4] = (uint32_t)image->color_space;
	account[5] = image->numcomps;
	for (uint32_t i = 0; i < image->numcomps; i++) {
		const opj_image_comp_t *c = &image->comps[i];
		uint32_t *to = account + HEAD + i * PER_COMPONENT;
		if (!c->data)
			return BAD_DATA;
		to[0] = c->w;
		to[1] = c->h;
		to[2] = c->dx;
		to[3] = c->dy;
		to[4] = c->prec;
		to[5] = c->sgnd;
		to[6] = c->alpha;
		to[7] = (uint32_t)(uintptr_t)c->data;
	}
	return DECODED;
}

/* report returns the address of the account of the last picture. */
EXPORT("report") const uint32_t *report(void)
{
	return account;
}

/*
 * The module imports nothing: it can neither read, nor write, nor ask for the
 * time. What would make it import something is replaced here (and fprintf, by
 * build.sh): an assertion of the library that does not hold ends the instance
 * without a word, there is no environment, and messages are empty.
 */
_Noreturn void __assert_fail(const char *expr, const char *file, int line, const char *func)
{
	(void)expr, (void)file, (void)line, (void)func;
	__builtin_trap();
}

_Noreturn void abort(void)
{
	__builtin_trap();
}

char *getenv(const char *name)
{
	(void)name;
	return NULL;
}

int vsnprintf(char *to, size_t n, const char *format, va_list arguments)
{
	(void)format, (void)arguments;
	if (n > 0)
		to[0] = '\0';
	return 0;
}
