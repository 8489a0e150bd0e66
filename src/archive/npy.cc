#include "archive/npy.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "archive/little_endian.h"
#include "archive/printable.h"

namespace cortland::archive {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kAlignment = 64;
constexpr size_t kMaxHeader = 64 << 10;
constexpr size_t kMaxRank = 64;

struct NumpyType {
  DType type;
  std::string_view code;  // kind and bytes, without the byte order
};

constexpr NumpyType kTypes[] = {
    {DType::Bool, "b1"}, {DType::I8, "i1"},  {DType::I16, "i2"}, {DType::I32, "i4"},   {DType::I64, "i8"},
    {DType::U8, "u1"},   {DType::U16, "u2"}, {DType::U32, "u4"}, {DType::U64, "u8"},   {DType::F16, "f2"},
    {DType::F32, "f4"},  {DType::F64, "f8"}, {DType::C64, "c8"}, {DType::C128, "c16"},
};

Diagnostic bad(std::string_view name, std::string_view what) {
  return diag(DiagKind::BadInput, fmt::format("'{}' is not a readable .npy file: {}", name, what),
              "write the array again with numpy.save");
}

struct Header {
  std::string_view descr;
  bool fortran_order = false;
  std::vector<int64_t> shape;
};

// The header is a Python dictionary display of strings, booleans and one tuple of integers.
class HeaderParser {
 public:
  explicit HeaderParser(std::string_view text) : text_(text) {}

  bool parse(Header& header) {
    bool descr = false, order = false, shape = false;
    if (!take('{')) return false;
    while (!take('}')) {
      std::string_view key;
      if (!string(key) || !take(':')) return false;
      bool ok = false;
      if (key == "descr") ok = !std::exchange(descr, true) && string(header.descr);
      if (key == "fortran_order") ok = !std::exchange(order, true) && boolean(header.fortran_order);
      if (key == "shape") ok = !std::exchange(shape, true) && tuple(header.shape);
      if (!ok || (!take(',') && !at('}'))) return false;
    }
    skip_space();
    return text_.empty() && descr && order && shape;
  }

 private:
  void skip_space() {
    while (!text_.empty() && (text_[0] == ' ' || text_[0] == '\n' || text_[0] == '\t')) text_.remove_prefix(1);
  }
  bool at(char c) {
    skip_space();
    return !text_.empty() && text_[0] == c;
  }
  bool take(char c) {
    const bool there = at(c);
    if (there) text_.remove_prefix(1);
    return there;
  }
  bool take(std::string_view word) {
    skip_space();
    const bool there = text_.starts_with(word);
    if (there) text_.remove_prefix(word.size());
    return there;
  }
  bool string(std::string_view& out) {
    const char quote = at('"') ? '"' : '\'';
    if (!take(quote)) return false;
    const size_t end = text_.find(quote);
    if (end == std::string_view::npos) return false;
    out = text_.substr(0, end);
    text_.remove_prefix(end + 1);
    return out.find('\\') == std::string_view::npos;
  }
  bool boolean(bool& out) {
    out = take("True");
    return out || take("False");
  }
  bool tuple(std::vector<int64_t>& out) {
    if (!take('(')) return false;
    while (!take(')')) {
      skip_space();
      int64_t value = 0;
      const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), value);
      if (error != std::errc() || value < 0 || out.size() == kMaxRank) return false;
      text_.remove_prefix(static_cast<size_t>(end - text_.data()));
      take('L');  // as Python 2 wrote it
      out.push_back(value);
      if (!take(',') && (!at(')') || out.size() == 1)) return false;
    }
    return true;
  }

  std::string_view text_;
};

DType dtype_of(std::string_view code) {
  for (const auto& type : kTypes)
    if (type.code == code) return type.type;
  return DType::Unknown;
}

// Product of the dimensions times `width`; false when it does not fit, so a header cannot ask for more than its file has.
bool byte_count(const std::vector<int64_t>& shape, uint64_t width, uint64_t& bytes) {
  bytes = width;
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) bytes = 0;
  for (const int64_t dim : shape)
    if (dim != 0 && __builtin_mul_overflow(bytes, static_cast<uint64_t>(dim), &bytes)) return false;
  return true;
}

void swap_bytes(std::string& data, size_t width) {
  for (size_t i = 0; i + width <= data.size(); i += width) std::reverse(data.begin() + i, data.begin() + i + width);
}

// First index fastest -> last index fastest.
std::string from_fortran(Bytes from, const std::vector<int64_t>& shape, size_t width) {
  std::string to(from.size(), '\0');
  std::vector<int64_t> index(shape.size()), stride(shape.size(), static_cast<int64_t>(width));
  for (size_t i = 1; i < shape.size(); ++i) stride[i] = stride[i - 1] * shape[i - 1];
  int64_t source = 0;
  for (size_t done = 0; done < to.size(); done += width) {
    std::memcpy(to.data() + done, from.data() + source, width);
    for (size_t axis = shape.size(); axis-- > 0;) {
      source += stride[axis];
      if (++index[axis] < shape[axis]) break;
      source -= stride[axis] * shape[axis];
      index[axis] = 0;
    }
  }
  return to;
}

}  // namespace

Result<Array> parse_npy(Bytes bytes, std::string_view name) {
  if (bytes.size() < kMagic.size() + 4 || !as_text(bytes).starts_with(kMagic))
    return bad(name, "it does not start with numpy's mark");
  const auto version = std::to_integer<int>(bytes[6]);
  if (version < 1 || version > 3) return bad(name, fmt::format("format version {} is unknown", version));
  const size_t start = version == 1 ? 10 : 12;
  if (bytes.size() < start) return bad(name, "it is cut off");
  const size_t header_size = version == 1 ? load_le<uint16_t>(bytes, 8) : load_le<uint32_t>(bytes, 8);
  if (header_size > kMaxHeader || header_size > bytes.size() - start) return bad(name, "its header is cut off or too long");
  Header header;
  if (!HeaderParser(as_text(bytes.subspan(start, header_size))).parse(header)) return bad(name, "its header is damaged");

  const bool ordered = !header.descr.empty() && std::string_view("<>|=").find(header.descr[0]) != std::string_view::npos;
  Array array{.dtype = dtype_of(ordered ? header.descr.substr(1) : header.descr), .shape = std::move(header.shape)};
  if (array.dtype == DType::Unknown)
    return diag(
        DiagKind::UnsupportedDtype,
        fmt::format("'{}' holds elements of numpy type '{}'; only booleans, integers, floats and complex numbers are read",
                    name, printable(header.descr)),
        "write the array again as numbers: array.astype(numpy.float32)");
  const auto width = static_cast<uint64_t>(bit_width(array.dtype) / 8);
  const Bytes payload = bytes.subspan(start + header_size);
  uint64_t size = 0;
  if (!byte_count(array.shape, width, size) || size != payload.size())
    return bad(name,
               fmt::format("{} bytes of elements do not fit the shape ({})", payload.size(), fmt::join(array.shape, ", ")));
  if (header.fortran_order && array.shape.size() > 1)
    array.data = from_fortran(payload, array.shape, width);
  else
    array.data = as_text(payload);
  if (header.descr[0] == '>') swap_bytes(array.data, is_complex(array.dtype) ? width / 2 : width);
  return array;
}

Result<Array> read_npy(const std::filesystem::path& path) {
  TRY(const auto file, MappedFile::open(path));
  return parse_npy(file->bytes(), file->name());
}

Result<std::string> npy_header(const Array& array) {
  const auto* type =
      std::find_if(std::begin(kTypes), std::end(kTypes), [&](const NumpyType& t) { return t.type == array.dtype; });
  if (type == std::end(kTypes))
    return diag(DiagKind::UnsupportedDtype, fmt::format("numpy has no element type for {}", torch_name(array.dtype)));
  uint64_t size = 0;
  CHECK(byte_count(array.shape, static_cast<uint64_t>(bit_width(array.dtype) / 8), size) && size == array.data.size(),
        "data and shape of an array disagree");
  const bool one_byte = bit_width(array.dtype) == 8;
  std::string text = fmt::format("{{'descr': '{}{}', 'fortran_order': False, 'shape': ({}{}), }}", one_byte ? '|' : '<',
                                 type->code, fmt::join(array.shape, ", "), array.shape.size() == 1 ? "," : "");
  const size_t before = kMagic.size() + 4;
  text.append(kAlignment - 1 - (before + text.size()) % kAlignment, ' ');
  text += '\n';
  std::string out(kMagic);
  out += '\1';
  out += '\0';
  append_le<uint16_t>(out, static_cast<uint16_t>(text.size()));
  return out + text;
}

Status write_npy(const std::filesystem::path& path, const Array& array) {
  TRY(const auto header, npy_header(array));
  TRY(auto file, OutputFile::create(path));
  TRY_DO(file.append(as_bytes(header)));
  TRY_DO(file.append(as_bytes(array.data)));
  return file.commit();
}

}  // namespace cortland::archive
