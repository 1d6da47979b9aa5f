// Shows the middle of a picture that is wider than the page: `.p-picture` with an `.p-own-node`.
const picture = document.querySelector(".p-picture");
const own = picture?.querySelector(".p-own-node rect");
if (picture && own) {
  const at = own.getBoundingClientRect();
  const frame = picture.getBoundingClientRect();
  picture.scrollLeft += at.left + at.width / 2 - (frame.left + frame.width / 2);
}
