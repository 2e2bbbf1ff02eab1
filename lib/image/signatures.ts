/** The first bytes of file formats, and what to do with a file of each that is given as an image. */

/** A kind of file. */
export interface FileKind {
  /** As in "photo.jpg is …". */
  name: string
  /** sharp's id of the format, where libvips has a reader for it. */
  reader?: string
  /** How to get a picture out of it. */
  way: string
}

/** Bytes at an offset by which a kind is known. */
export type Signature = readonly [offset: number, bytes: string, kind: FileKind]

const picture = (name: string, reader: string): FileKind => ({ name, reader, way: '' })
const kindsWith = (way: string) => (name: string, reader?: string) => ({ name, way, ...(reader ? { reader } : {}) })
const raw = kindsWith('Develop it to a TIFF, PNG or JPEG first, such as with darktable-cli or dcraw -T.')
const drawing = kindsWith('Save it as PNG first, such as with ImageMagick: magick in out.png.')
const science = kindsWith(
  'Read it with its own library, scale the values to 0..255, and pass them as { data, width, height, channels }.',
)
const packed = kindsWith('Unpack it first, and pass the image inside.')
const video = kindsWith(
  'Pass it to startSession of a video model, or take a frame out of it: ffmpeg -i in -frames:v 1 frame.png.',
)
const other = kindsWith('Pass an image.')
const hevc = kindsWith(
  'Convert it to JPEG or PNG first, such as with heif-convert in.heic out.jpg; or install sharp with a libvips of the system that reads HEVC.',
)

export const TIFF = picture('a TIFF file', 'tiff')
export const AVIF = picture('an AVIF image', 'heif')
export const SVG = picture('an SVG drawing', 'svg')
export const HEIC = hevc('a HEIC photograph (HEIF with HEVC)')
export const HEIF = hevc('a HEIF image')
export const APPLE_PNG: FileKind = {
  name: "a PNG in Apple's own variant (CgBI)",
  way: 'Turn it into a plain PNG first: pngcrush -revert-iphone-optimizations in.png out.png.',
}
export const CAMERA_RAW = raw('a camera raw file')
export const CANON_RAW = raw('a camera raw file of Canon (CR3)')
export const MP4 = video('a video (MP4 or MOV)')
export const AVI = video('a video (AVI)')
export const WEBP = picture('a WebP image', 'webp')
export const WAV = other('a sound file (WAV)')
export const TGA = drawing('a TGA image')

/** How TIFF (classic and big, of either byte order) and PNG begin. */
export const TIFF_MARKS = ['II*\0', 'MM\0*', 'II+\0', 'MM\0+'] as const
export const PNG_MARK = '\x89PNG\r\n\x1a\n'

/** In order: longer ones before those that they begin with. Bytes are written as in a string of Latin-1. */
export const SIGNATURES: readonly Signature[] = [
  [0, '\xff\xd8\xff', picture('a JPEG file', 'jpeg')],
  [12, 'CgBI', APPLE_PNG],
  [0, PNG_MARK, picture('a PNG file', 'png')],
  [0, 'GIF8', picture('a GIF image', 'gif')],
  [8, 'CR\x02', raw('a camera raw file of Canon (CR2)')],
  ...TIFF_MARKS.map((mark): Signature => [0, mark, TIFF]),
  [0, 'IIU\0', raw('a camera raw file of Panasonic (RW2)')],
  [0, 'IIRO', raw('a camera raw file of Olympus (ORF)')],
  [0, 'IIRS', raw('a camera raw file of Olympus (ORF)')],
  [0, 'MMOR', raw('a camera raw file of Olympus (ORF)')],
  [0, 'FUJIFILMCCD-RAW', raw('a camera raw file of Fujifilm (RAF)')],
  [0, 'FOVb', raw('a camera raw file of Sigma (X3F)')],
  [6, 'HEAPCCDR', raw('a camera raw file of Canon (CRW)')],
  [0, '\0\0\0\x0cjP  \r\n\x87\n', drawing('a JPEG 2000 image', 'jp2')],
  [0, '\xffO\xffQ', drawing('a JPEG 2000 image', 'jp2')],
  [0, '\0\0\0\x0cJXL \r\n\x87\n', drawing('a JPEG XL image', 'jxl')],
  [0, '\xff\n', drawing('a JPEG XL image', 'jxl')],
  [0, 'II\xbc', drawing('a JPEG XR image')],
  [0, 'BPG\xfb', drawing('a BPG image')],
  [0, '8BPS', drawing('a Photoshop file (PSD)')],
  [0, 'gimp xcf', drawing('a GIMP file (XCF)')],
  [0, '\0\0\x01\0', drawing('a Windows icon (ICO)')],
  [0, '\0\0\x02\0', TGA],
  [0, '\0\0\x0a\0', TGA],
  [0, 'icns', drawing('an Apple icon (ICNS)')],
  [0, 'DDS ', drawing('a DirectDraw texture (DDS)')],
  [0, '\xabKTX', drawing('a KTX texture')],
  [0, 'qoif', drawing('a QOI image')],
  [0, '\x01\xda', drawing('an SGI image')],
  [0, '\x59\xa6\x6a\x95', drawing('a Sun raster image')],
  [0, 'AT&TFORM', drawing('a DjVu document')],
  ...['P1', 'P2', 'P3', 'P4', 'P5', 'P6', 'P7'].flatMap((magic) =>
    ['\n', ' ', '\r'].map((end): Signature => [0, magic + end, drawing('a PNM image (PBM, PGM, PPM)', 'ppm')]),
  ),
  [0, 'PF\n', science('a float map (PFM)', 'ppm')],
  [0, 'Pf\n', science('a float map (PFM)', 'ppm')],
  [0, 'v/1\x01', science('an OpenEXR image')],
  [0, '#?RADIANCE', science('a Radiance HDR image', 'rad')],
  [0, '#?RGBE', science('a Radiance HDR image', 'rad')],
  [128, 'DICM', science('a DICOM file')],
  [344, 'n+1\0', science('a NIfTI volume')],
  [344, 'ni1\0', science('a NIfTI header')],
  [0, '\x5c\x01\0\0n+2\0', science('a NIfTI volume')],
  [4, 'n+2\0', science('a NIfTI volume')],
  [0, 'SIMPLE  =', science('a FITS image', 'fits')],
  [0, '\x93NUMPY', science('a NumPy array')],
  [0, '\x89HDF\r\n\x1a\n', science('an HDF5 file')],
  [0, 'CDF\x01', science('a NetCDF file')],
  [0, 'CDF\x02', science('a NetCDF file')],
  [0, 'MATLAB 5.0', science('a MATLAB file')],
  [0, '%PDF', { name: 'a PDF document', reader: 'pdf', way: 'Render a page first: pdftoppm -png -r 200 in.pdf page.' }],
  [0, '%!PS', { name: 'a PostScript file', way: 'Render a page first: gs -sDEVICE=png16m -r200 -o page.png in.ps.' }],
  [0, '\x1aE\xdf\xa3', video('a video (Matroska or WebM)')],
  [0, '\0\0\x01\xba', video('a video (MPEG)')],
  [0, '\0\0\x01\xb3', video('a video (MPEG)')],
  [0, 'FLV\x01', video('a video (FLV)')],
  [0, 'OggS', video('an Ogg file')],
  [0, 'ID3', other('a sound file (MP3)')],
  [0, 'fLaC', other('a sound file (FLAC)')],
  [0, '\x1f\x8b', packed('a gzip archive')],
  [0, 'PK\x03\x04', packed('a ZIP archive')],
  [0, 'PK\x05\x06', packed('an empty ZIP archive')],
  [0, '7z\xbc\xaf\x27\x1c', packed('a 7-Zip archive')],
  [0, 'Rar!', packed('a RAR archive')],
  [0, '\xfd7zXZ\0', packed('an xz archive')],
  [0, 'BZh', packed('a bzip2 archive')],
  [0, '\x28\xb5\x2f\xfd', packed('a Zstandard archive')],
  [257, 'ustar', packed('a tar archive')],
  [0, '\x7fELF', other('a program')],
  [0, 'BM', drawing('a BMP image')],
]
